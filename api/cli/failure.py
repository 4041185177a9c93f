"""Exit codes, and the one exception by which a command says that it could not do its work."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class ExitCode(IntEnum):
    """What the process ends with (`docs/cli.md`). 2 is also what the option parser gives."""

    OK = 0
    NO = 1
    USAGE = 2
    CONDITIONAL = 3
    REFUSED = 4
    UNAVAILABLE = 5
    INCOMPLETE = 6
    INTERRUPTED = 130


class Failure(Exception):
    """A command ends here. `hint` says what to do next; `details` go into `--json` errors.

    `code` is stable and for machines: a server's own code where it gave one.
    """

    def __init__(
        self,
        message: str,
        *,
        exit_code: ExitCode = ExitCode.USAGE,
        code: str = "usage",
        hint: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.hint = hint
        self.details = dict(details or {})


def hint_of(expected: str) -> str:
    """An error's `expected`, as a sentence for a person."""
    return expected if not expected or expected.startswith("did you") else f"expected {expected}"
