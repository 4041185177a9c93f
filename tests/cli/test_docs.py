"""`docs/cli.md` has every command and option, and its examples print what it says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from api.cli.failure import ExitCode
from api.cli.main import app
from tests.cli.program import ROOT, Program

PAGE = (ROOT / "docs" / "cli.md").read_text()
FILES = {"zed": "schema.zed", "text": "tuples.txt", "yaml": "drive.yaml"}


def commands(group: Any, name: str = "stonetown") -> Iterator[str]:
    """The full name of every command of the application."""
    for word, item in group.commands.items():
        full = f"{name} {word}"
        if hasattr(item, "commands"):
            yield from commands(item, full)
        else:
            yield full


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^### `(stonetown .+)`$", PAGE, re.MULTILINE)
    assert sorted(sections) == sorted(commands(typer.main.get_command(app)))


def test_every_section_has_an_example() -> None:
    for part in PAGE.split("\n### ")[1:]:
        name = part.split("`")[1]
        if name != "stonetown version":
            assert re.search(rf"^(\$ |[A-Z_]+=\S+ )?{name}\b", part, re.MULTILINE), name


def test_every_exit_code_is_told() -> None:
    table = PAGE.split("## Exit codes")[1].split("\n\n")[1]
    told = [int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert told == sorted(ExitCode)


def test_every_option_that_is_told_exists() -> None:
    known: set[str] = set()
    waiting: list[Any] = [typer.main.get_command(app)]
    while waiting:
        item = waiting.pop()
        waiting.extend(getattr(item, "commands", {}).values())
        for parameter in item.params:
            known.update([*parameter.opts, *parameter.secondary_opts])
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known | {"--install-completion"}


def test_the_examples_print_what_the_page_says(
    bare: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, name in FILES.items():
        (content,) = blocks(language)
        Path(name).write_text(content)
    examples = "".join(blocks("console"))
    runs = re.findall(r"^\$ stonetown (.*)\n((?:(?!\$ ).*\n)*)", examples, re.MULTILINE)
    assert len(runs) > 15
    for line, expected in runs:
        ended = bare(*shlex.split(line))
        pattern = re.escape(expected).replace("…", ".*")
        shown = "".join(f"{text.rstrip()}\n" for text in ended.out.splitlines())
        assert re.fullmatch(pattern, shown, re.DOTALL), (line, shown, ended.error)
