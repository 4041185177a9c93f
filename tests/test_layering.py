"""The layers point one way: schema, then engine, then api; read from the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import api
import engine
import migrations
import schema

ROOT = Path(__file__).resolve().parent.parent
OURS = ("schema", "engine", "api", "migrations", "tests", "loadtests")

# Which of our packages the modules of a package may import.
ALLOWED = {
    "schema": {"schema"},
    "engine": {"schema", "engine", "migrations"},
    "migrations": set(),
    "api": {"schema", "engine", "api", "migrations"},
    "loadtests": {"schema", "engine", "api", "migrations", "loadtests"},
}

# What decides knows the protocols of storage and never a storage.
IMPLEMENTATIONS = ("engine.store.memory", "engine.store.postgres", "engine.index")
STORAGE_FREE = ("engine.store.protocol", "engine.store.overlay")

# Dialects are translations of one engine; none is made from another.
DIALECTS = ("api.native", "api.openfga", "api.authzen")

THIRD_PARTY_FREE = ("schema", "engine")
OUTSIDE_ONLY = {"fastapi", "starlette", "uvicorn", "pydantic", "pydantic_settings", "typer", "rich"}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file, as a full name."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (start, node.module) if part)
            # `from engine.store import memory` imports a module as well as a name.
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_the_layers_below_it(package: str) -> None:
    forbidden = [
        f"{module_name(path)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in OURS and name.split(".")[0] not in ALLOWED[package]
    ]
    assert forbidden == []


def test_what_decides_imports_no_storage() -> None:
    own = [*IMPLEMENTATIONS, "engine.cache"]
    deciding = [
        path
        for path in modules("engine")
        if not within(module_name(path), tuple(own)) or within(module_name(path), STORAGE_FREE)
    ]
    forbidden = [
        f"{module_name(path)} imports {name}"
        for path in deciding
        for name in imports(path)
        if within(name, IMPLEMENTATIONS)
    ]
    assert deciding
    assert forbidden == []


def test_dialects_do_not_import_each_other() -> None:
    forbidden = [
        f"{module_name(path)} imports {name}"
        for path in modules("api")
        for dialect in DIALECTS
        if within(module_name(path), (dialect,))
        for name in imports(path)
        if within(name, tuple(other for other in DIALECTS if other != dialect))
    ]
    assert forbidden == []


def test_the_wire_stays_outside_the_engine() -> None:
    forbidden = [
        f"{module_name(path)} imports {name}"
        for package in THIRD_PARTY_FREE
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in OUTSIDE_ONLY
    ]
    assert forbidden == []


def test_the_packages_are_those_of_this_project() -> None:
    for package in (schema, engine, api, migrations):
        assert Path(str(package.__file__)).is_relative_to(ROOT)
