"""The container files, as far as they can be judged without an engine that builds them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import Settings, environment_name

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = {environment_name(name) for name in Settings.model_fields}


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as pairs of instruction and arguments, without comments."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest) for name, rest in pairs]


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml, anchors merged."""
    composed = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, dict[str, Any]] = composed["services"]
    return found


def last(instructions: list[tuple[str, str]], name: str) -> str:
    return [rest for found, rest in instructions if found == name][-1]


def test_the_image_runs_as_an_ordinary_user(instructions: list[tuple[str, str]]) -> None:
    assert last(instructions, "USER").split(":")[0] not in {"root", "0"}
    names = [name for name, _ in instructions]
    assert names.index("USER") > len(names) - 1 - names[::-1].index("FROM")


def test_every_package_of_the_image_is_installed_by_its_hash(
    instructions: list[tuple[str, str]],
) -> None:
    commands = [part for name, rest in instructions if name == "RUN" for part in rest.split("&&")]
    installing = [part for part in commands if re.search(r"\bpip\b.* install\b", part)]
    assert len(installing) == 3
    assert all("--require-hashes" in part or "--no-index" in part for part in installing)


def test_the_image_is_made_of_files_that_are_let_in(instructions: list[tuple[str, str]]) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [Path(line[1:]) for line in ignored if line.startswith("!")]
    copied = [
        Path(source)
        for name, rest in instructions
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert copied
    for path in copied:
        assert (ROOT / path).exists()
        assert path in let_in


def test_the_image_asks_itself_whether_it_is_ready(instructions: list[tuple[str, str]]) -> None:
    check = last(instructions, "HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    assert command[:2] == ["python", "-c"]
    ast.parse(command[2])
    assert "/readyz" in command[2]


def test_the_image_sets_only_settings_that_exist(instructions: list[tuple[str, str]]) -> None:
    named = {word for _, rest in instructions for word in re.findall(r"STONETOWN_[A-Z_]+", rest)}
    assert named
    assert named <= SETTINGS


def test_every_service_is_hardened(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "api":  # whose image says both itself
            assert not service["user"].startswith(("0", "root")), name
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_the_service_waits_for_the_others(services: dict[str, dict[str, Any]]) -> None:
    waits = services["api"]["depends_on"]
    assert waits == {key: {"condition": "service_healthy"} for key in ("postgres", "valkey")}


def test_no_secret_stands_in_the_file(services: dict[str, dict[str, Any]]) -> None:
    for service in services.values():
        for name in service.get("environment", {}):
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY|DATABASE_URL", name)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert ".env.*" in ignored


def test_only_this_machine_reaches_the_port(services: dict[str, dict[str, Any]]) -> None:
    assert services["api"]["ports"] == ["127.0.0.1:8080:8080"]
    assert "ports" not in services["postgres"]
    assert "ports" not in services["valkey"]
