"""The rules of the house, read from the files themselves: budgets, names and words."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ("schema", "engine", "api", "migrations")
CODE = (*LIBRARY, "tests", "loadtests", "scripts")
FILE_LINES = 400
FUNCTION_LINES = 60

# Names that say nothing about what a thing is.
EMPTY_NAMES = re.compile(r"(Manager|Helper|Utils?|Base|Impl|Wrapper|Data|Info)$|^(Abstract|Base)")

# Tests talk to real servers: what stands in for one proves nothing about it.
STAND_INS = {"unittest.mock", "mock", "pytest_mock", "fakeredis", "testcontainers"}

# Places that exist on one machine only, and hosts that a mirror or a proxy replaces.
PLACES = re.compile(r"(?<![\w./])/(work|root|home/\w+)/|\b(files\.pythonhosted|pypi)\.org\b")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the project, with those that are not committed yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [ROOT / name for name in listed.split("\0") if name]
    return tuple(path for path in found if path.is_file())


def sources(*packages: str) -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages
    ]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_the_project_is_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in sources(*CODE)} >= set(LIBRARY)


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in sources(*CODE)}
    long = [f"{place(path, n)}" for path, n in lengths.items() if n > FILE_LINES]
    assert long == []


def test_functions_are_short() -> None:
    long = [
        f"{place(path, node.lineno)} {node.name}: {length} lines"
        for path in sources(*CODE)
        for node in functions(path)
        if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert long == []


def test_classes_have_names_that_mean_something() -> None:
    empty = [
        f"{place(path, node.lineno)} {node.name}"
        for path in sources(*CODE)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and EMPTY_NAMES.search(node.name)
    ]
    assert empty == []


def test_the_library_prints_nothing() -> None:
    """The command line writes through its console, all else through the log."""
    printing = [
        place(path, node.lineno)
        for path in sources(*LIBRARY)
        if path.parent != ROOT / "api" / "cli"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == []


def test_tests_use_no_stand_ins() -> None:
    found = [
        f"{path.relative_to(ROOT)} {name}"
        for path in sources("tests", "loadtests")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if any(name == other or name.startswith(f"{other}.") for other in STAND_INS)
    ]
    assert found == []


def test_tests_neither_sleep_nor_expect_to_fail() -> None:
    found = [
        f"{place(path, node.lineno)} {name}"
        for path in sources("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in _FORBIDDEN_IN_TESTS
    ]
    assert found == []


_FORBIDDEN_IN_TESTS = {"time.sleep", "pytest.xfail", "pytest.mark.xfail"}


def test_no_file_names_a_place_of_one_machine() -> None:
    found = []
    for path in tracked():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        found += [place(path, n) for n, line in enumerate(lines, 1) if PLACES.search(line)]
    assert found == []


def test_public_functions_of_the_library_have_docstrings() -> None:
    bare = [
        f"{place(path, node.lineno)} {node.name}"
        for path in sources(*LIBRARY)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if not node.name.startswith("_") and ast.get_docstring(node) is None
    ]
    assert bare == []


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as it would be shipped."""
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_every_file_of_the_library(wheel: zipfile.ZipFile) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.relative_to(ROOT).parts[0] in LIBRARY
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == ours
    assert any(name.startswith("migrations/") and name.endswith(".sql") for name in shipped)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        source = node.module or ""
        return [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return []
