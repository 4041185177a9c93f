"""What is compiled: taken for exactly the source it was made from, and never in the way."""

from __future__ import annotations

import collections
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.compiled import MODULES, directory

ROOT = Path(__file__).resolve().parent.parent
COLLECTIONS = {getattr(collections, name) for name in collections.__all__ if name != "namedtuple"}
WHERE = "from importlib.util import find_spec as f; print(f('engine.check').origin)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the source."""
    for name in ("schema", "engine", "api", "migrations"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    return tmp_path


def python(root: Path, *arguments: str | Path, **variables: str) -> str:
    """What Python prints that finds the source in `root`."""
    environment = {k: v for k, v in os.environ.items() if k != "STONETOWN_COMPILED"}
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=root,
        env={**environment, "PYTHONPATH": str(root), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_every_module_that_is_compiled_has_its_source() -> None:
    assert [name for name in MODULES if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


def test_no_compiled_class_is_a_container() -> None:
    """The methods of one that inherits from a dict or a list are not safe to call."""
    containers = {dict, frozenset, list, set, tuple, bytes, int, str, *COLLECTIONS}
    for name in MODULES:
        module = importlib.import_module(name)
        made = [one for one in vars(module).values() if isinstance(one, type)]
        for one in made:
            if one.__module__ == name and not hasattr(one, "_fields"):  # a named tuple is Python's
                assert not containers & {*one.__bases__}, one


def test_it_is_taken_for_its_source_alone(root: Path) -> None:
    source = str(root / "engine" / "check.py")
    assert python(root, "-c", WHERE) == source
    place = directory(root)
    place.mkdir(parents=True)
    assert python(root, "-c", WHERE).startswith(str(place))
    assert python(root, "-c", WHERE, STONETOWN_COMPILED="false") == source
    other = WHERE.replace("engine.check", "engine.errors")
    assert python(root, "-c", other) == str(root / "engine" / "errors.py")
    # Not compiled itself, but what is was compiled with its constants.
    with (root / "schema" / "model.py").open("a") as file:
        file.write("\n")
    assert python(root, "-c", WHERE) == source


def test_where_nothing_can_be_compiled_it_is_said_and_all_goes_on(root: Path) -> None:
    script = ROOT / "scripts" / "compile.py"
    said = python(root, script, root, CC="/nowhere/cc")
    assert said.startswith("Not compiled: there is no C compiler (/nowhere/cc)")
    assert not (root / ".compiled").exists()
    assert python(root, script, root, CC="/nowhere/cc", STONETOWN_COMPILED="false") == ""


def test_what_cannot_be_compiled_is_tried_once(root: Path) -> None:
    script = ROOT / "scripts" / "compile.py"
    with (root / "engine" / "check.py").open("a") as file:
        file.write("async def f() -> None:\n    for n in 'a':\n        yield n\n")
    # Something that exists: it does not come to compiling C.
    said = [python(root, script, root, CC=sys.executable) for _ in range(2)]
    assert said[0].splitlines()[-1] == said[1]
    assert said[1].startswith("Not compiled: ")
    assert not directory(root).exists()
    assert python(root, "-c", WHERE) == str(root / "engine" / "check.py")


def test_as_it_is_written_it_decides_as_the_oracle_does() -> None:
    """The tests themselves run on what is compiled, where that can be done."""
    said = python(ROOT, "-m", "tests.fuzz", "--checks", "3000", STONETOWN_COMPILED="false")
    assert "0 disagreements" in said
