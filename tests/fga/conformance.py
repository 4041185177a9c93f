"""The cases of OpenFGA's language repository, and those that are met otherwise on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from schema.fga.dsl.problems import DslProblem
from tests.conformance.data import ROOT

LANGUAGE = ROOT / "openfga" / "language"

Told = tuple[str, tuple[int, int, int, int] | None, str, str]
"""A problem's message, place, kind and file."""


def cases_of(name: str) -> list[dict[str, Any]]:
    """The cases of one file."""
    return list(yaml.safe_load((LANGUAGE / f"{name}.yaml").read_text(encoding="utf-8")))


def folders_of(name: str) -> list[Path]:
    """The folders of cases within one."""
    return sorted(path for path in (LANGUAGE / name).iterdir() if path.is_dir())


def case_name(case: dict[str, Any]) -> str:
    """What the case is called."""
    return str(case["name"])


def wanted(errors: Iterable[dict[str, Any]] | None) -> list[Told]:
    """The problems that a case wants."""
    return [
        (
            str(error["msg"]),
            _place(error),
            str(error.get("metadata", {}).get("errorType", "")),
            str(error.get("file", "")),
        )
        for error in errors or ()
    ]


def _place(error: dict[str, Any]) -> tuple[int, int, int, int] | None:
    if "line" not in error:
        return None
    line, column = error["line"], error["column"]
    return (line["start"], line["end"], column["start"], column["end"])


def told(problems: Iterable[DslProblem]) -> list[Told]:
    """Our problems in the same form."""
    return [
        (
            problem.message,
            None if problem.place is None else (*problem.place,),
            problem.kind,
            problem.file,
        )
        for problem in problems
    ]


def is_syntax(message: str) -> bool:
    """Whether this is a message of ANTLR, of which only place and kind must be as in OpenFGA."""
    return message.startswith(
        ("mismatched input", "extraneous input", "missing '", "no viable alternative")
    )


def without_words(problems: list[Told]) -> list[Told]:
    """Messages of syntax cut down to what kind they are; those of meaning as they are."""
    return [
        (" ".join(item[0].split(" ")[:2]) if is_syntax(item[0]) else item[0], *item[1:])
        for item in problems
    ]
