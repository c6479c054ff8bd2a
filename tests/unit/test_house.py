"""The house's rules that a linter cannot hold: who may import what, and where things lie."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
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
STAGE_FILES = {"__init__.py", "assets.py", "checks.py", "automation.py"}

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


@pytest.mark.xdist_group("house")
def test_groups_of_tests_stay_together(request: pytest.FixtureRequest) -> None:
    """Where xdist loses the groups it says nothing, and each worker runs its own demo."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("the tests are not distributed by group")
    assert request.node.nodeid.endswith("@house")
