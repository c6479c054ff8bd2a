"""The house's rules that a linter cannot hold: who may import what, and where things lie."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from skyops_assets.settings import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "skyops_assets"
DEFS = PACKAGE / "defs"
DAGSTER = {"dagster", "dagster_dbt", "dagster_postgres", "dagster_shared", "dagster_webserver"}
HEAVY = {
    "mlflow", "sklearn", "great_expectations", "pandas", "matplotlib", "scipy", "skops", "dbt",
    "onnx", "onnxruntime",
}  # fmt: skip
"""Seconds each to import, so only where they are used (measured: up to 10 s)."""
SQL = re.compile(
    r"\s*(select\s.+\sfrom|insert into|delete from|update .+ set|create table|with .+ as \()",
    re.IGNORECASE | re.DOTALL,
)
MAX_LINES = 500
IS_LONG = "One file, though a long one"
"""How the docstring of a file with more lines begins to say why."""
MAX_REPEATED_LINES = 15
NOT_COUNTED = re.compile(r"#|--|import |from \S+ import |[\W_]*$")
"""Lines that say nothing of what is done: comments, imports, lone punctuation."""
STAGE_FILES = {"__init__.py", "assets.py", "checks.py", "automation.py", "partitions.py"}

MODULES = sorted(PACKAGE.rglob("*.py"))
KNOW_DAGSTER = {DEFS, PACKAGE / "instance", PACKAGE / "client.py", PACKAGE / "definitions.py"}
OUTSIDE = [path for path in MODULES if not KNOW_DAGSTER & {path, *path.parents}]


def imports(tree: ast.AST) -> Iterator[str]:
    """The packages that a module imports, at any depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def imports_at_once(tree: ast.Module) -> set[str]:
    """The packages that importing the module imports: not those in functions or for type checks."""
    found: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(imports(node))
        for name in ("body", "orelse", "finalbody", "handlers"):
            for child in getattr(node, name, []):
                waiting.extend(child.body if isinstance(child, ast.ExceptHandler) else [child])
    return found


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import dagster as dg", {"dagster"}),
        ("from dagster._core import x", {"dagster"}),
        ("def f():\n    import dagster_dbt", {"dagster_dbt"}),
        ("if TYPE_CHECKING:\n    from dagster import X", {"dagster"}),
        ("from . import dagster", set()),
        ("import dagsterly", {"dagsterly"}),
    ],
)
def test_the_search_for_imports_finds_them_wherever_they_hide(source: str, found: set[str]) -> None:
    assert set(imports(ast.parse(source))) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pandas", {"pandas"}),
        ("try:\n    import pandas\nexcept ImportError:\n    import scipy", {"pandas", "scipy"}),
        ("class A:\n    import pandas", {"pandas"}),
        ("with x:\n    import pandas", {"pandas"}),
        ("def f():\n    import pandas", set()),
        ("if TYPE_CHECKING:\n    import pandas", set()),
    ],
)
def test_the_search_for_costly_imports_knows_what_runs_at_import(
    source: str, found: set[str]
) -> None:
    assert imports_at_once(ast.parse(source)) == found


@pytest.mark.parametrize("path", OUTSIDE, ids=name)
def test_a_domain_package_does_not_know_dagster(path: Path) -> None:
    assert not DAGSTER & set(imports(tree(path)))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_nothing_heavy_is_imported_before_it_is_used(path: Path) -> None:
    assert not HEAVY & imports_at_once(tree(path))


def test_the_root_of_the_graph_stays_short() -> None:
    assert len((PACKAGE / "definitions.py").read_text().splitlines()) <= 60


def test_every_stage_has_the_same_file_names() -> None:
    stages = [path for path in DEFS.iterdir() if path.is_dir() and path.name != "__pycache__"]
    for stage in stages:
        files = {path.name for path in stage.iterdir()} - {"__pycache__"}
        assert files <= STAGE_FILES, stage.name
        assert "__init__.py" in files, stage.name


@pytest.mark.parametrize(
    "text", ["select a from b", " with x as (", "insert into t values", "DELETE FROM t"]
)
def test_the_search_for_sql_finds_it(text: str) -> None:
    assert SQL.match(text)


def test_defs_holds_no_sql() -> None:
    """Thin: an asset names itself, calls a domain package and shows the result."""
    for path in DEFS.rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert not SQL.match(node.value), f"{name(path)}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    if path.stat().st_size:
        assert ast.get_docstring(tree(path)), "a module begins with its contract"


def shipped() -> list[Path]:
    """The files that a clone has, by git's own account, new ones included."""
    if not (PROJECT_ROOT / ".git").exists():
        pytest.skip("this is no git checkout: nobody knows which files ship")
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_ROOT, capture_output=True, check=True,
    )  # fmt: skip
    return [PROJECT_ROOT / entry for entry in answer.stdout.decode().split("\0") if entry]


def test_no_shipped_file_points_outside_the_project() -> None:
    """A reader has only the clone: the folder beside it leads nowhere for them."""
    outside = "../" + "shared"
    text = (".py", ".md", ".sql", ".yml", ".yaml", ".toml", ".json", ".sh", ".txt", "", ".cfg")
    found = [
        str(path.relative_to(PROJECT_ROOT))
        for path in shipped()
        if path.suffix in text and path.is_file() and outside in path.read_text(errors="ignore")
    ]
    assert not found


# Size and repetition


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_long_file_says_why_it_is_one(path: Path) -> None:
    text = path.read_text()
    if len(text.splitlines()) > MAX_LINES:
        assert IS_LONG in (ast.get_docstring(tree(path)) or "")
    else:
        assert IS_LONG not in text, "it is no longer long"


def repeats(texts: Mapping[str, str], lines: int) -> list[str]:
    """Where so many lines in a row stand a second time, white space aside."""
    seen: dict[tuple[str, ...], str] = {}
    found = []
    for name, text in texts.items():
        numbered = enumerate((" ".join(line.split()) for line in text.splitlines()), start=1)
        counted = [(number, line) for number, line in numbered if not NOT_COUNTED.match(line)]
        for start in range(len(counted) - lines + 1):
            block = tuple(line for _, line in counted[start : start + lines])
            place = f"{name}:{counted[start][0]}"
            if block in seen:
                found.append(f"{place} repeats {seen[block]}")
            seen.setdefault(block, place)
    return found


def test_the_search_for_repeated_blocks_finds_them() -> None:
    block = "a = 1\nb = 2\nc = 3\n"
    spread = "    a = 1\n\n    # A comment.\n    b  =  2\n    )\n    c = 3\n"
    assert repeats({"x": block, "y": f"z = 0\n{spread}"}, 3) == ["y:2 repeats x:1"]
    assert repeats({"x": block + "d = 4\n" + block}, 3) == ["x:5 repeats x:1"]
    assert repeats({"x": block, "y": "a = 1\nb = 2\n"}, 3) == []


def test_no_block_of_code_stands_twice() -> None:
    texts = {
        str(path.relative_to(PROJECT_ROOT)): path.read_text()
        for folder in ("skyops_assets", "dbt_project", "tests", "benchmarks", "validation")
        for path in sorted((PROJECT_ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".sql") and "target" not in path.parts
    }
    assert repeats(texts, MAX_REPEATED_LINES + 1) == []


# Tests


def borrowed(source: ast.AST) -> list[str]:
    """What of a test module belongs to another, or edits where modules are searched."""
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path":
            found.append("sys.path")
    return [
        one
        for one in found
        if one == "sys.path" or re.match(r"(tests\.([a-z]+\.)*)?(conftest|test_\w+)(\.|$)", one)
    ]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from test_load import counts", ["test_load.counts"]),
        ("from tests.unit.test_load import counts", ["tests.unit.test_load.counts"]),
        ("def f():\n    import conftest", ["conftest"]),
        ("from tests.conftest import Dbt", ["tests.conftest.Dbt"]),
        ("sys.path.insert(0, '..')", ["sys.path"]),
        ("from tests.support.states import seconds", []),
        ("from dagster._core.test_utils import freeze_time", []),
    ],
)
def test_the_search_for_borrowed_tests_finds_them(source: str, found: list[str]) -> None:
    assert borrowed(ast.parse(source)) == found


def test_test_modules_share_only_what_is_in_support() -> None:
    for path in sorted((PROJECT_ROOT / "tests").rglob("*.py")):
        assert borrowed(tree(path)) == [], path.name


def test_no_fixture_is_defined_twice() -> None:
    """One of the same name may do something else; what two modules need moves to a conftest."""
    places = defaultdict(set)
    for path in sorted((PROJECT_ROOT / "tests").rglob("*.py")):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and any(
                "pytest.fixture" in ast.unparse(one) for one in node.decorator_list
            ):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                places["\n".join(map(ast.unparse, body))].add(str(path))
    assert len(places) > 50
    assert [files for files in places.values() if len(files) > 1] == []


@pytest.mark.xdist_group("house")
def test_groups_of_tests_stay_together(request: pytest.FixtureRequest) -> None:
    """Where xdist loses the groups it says nothing, and each worker runs its own demo."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("the tests are not distributed by group")
    assert request.node.nodeid.endswith("@house")
