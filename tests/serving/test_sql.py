"""What a caller sends is bound to a statement, never written into one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import skyops_assets.serving

pytestmark = pytest.mark.xdist_group("serving")

FOLDER = Path(skyops_assets.serving.__file__).parent
STATEMENT = re.compile(
    r"^\s*(select|insert into|update \w|delete from|with \w+ as|begin|set (local )?\w+ ?=|"
    r"(from|where|order by|and|or|limit) )",
    re.IGNORECASE,
)


def _is_constant(node: ast.expr) -> bool:
    """A constant of a module: what was written, not what was sent."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name.isupper()


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def written(source: str) -> Iterator[int]:
    """Lines in which something that is no constant is written into a statement."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts = [one.value for one in node.values if isinstance(one, ast.FormattedValue)]
            if STATEMENT.search(_text(node)) and not all(map(_is_constant, parts)):
                yield node.lineno
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
            if STATEMENT.search(_text(node.left)) and not (
                _is_constant(node.right) or _text(node.right)
            ):
                yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # psycopg's SQL(...).format quotes what it is given; a text's does not.
            is_format = node.func.attr == "format" and STATEMENT.search(_text(node.func.value))
            given = [*node.args, *(one.value for one in node.keywords)]
            if is_format and not all(map(_is_constant, given)):
                yield node.lineno


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.py")), ids=lambda file: file.name)
def test_nothing_is_written_into_a_statement(file: Path) -> None:
    assert list(written(file.read_text())) == []


@pytest.mark.parametrize(
    ("source", "is_written"),
    [
        ('f"select * from t where a = {value}"', True),
        ('f"select {name} from t"', True),
        ('"select * from t where a = %s" % value', True),
        ('"select * from t where a = " + value', True),
        ('"select * from {}".format(name)', True),
        ('f" order by {column}"', True),
        ('f"select {COLUMNS} from t"', False),
        ('f"select {graphs.COLUMNS} from t where a = %(a)s"', False),
        ('SQL("select * from {}").format(Identifier(name))', False),
        ('f"Select what you want, {name}."', True),
        ('f"The flight {name} is not there."', False),
    ],
)
def test_the_test_can_fail(source: str, is_written: bool) -> None:
    assert bool(list(written(source))) == is_written


def test_the_pool_takes_no_text_that_was_put_together() -> None:
    """`make lint` holds it: mypy knows what is a literal."""
    source = (FOLDER / "database.py").read_text()
    assert "query: LiteralString | Composable" in source


def test_no_pickle_is_read() -> None:
    for file in FOLDER.rglob("*.py"):
        assert not re.search(r"import (pickle|joblib|cloudpickle|dill)|\bmlflow\b|from pickle",
                             file.read_text()), file  # fmt: skip
