"""The answer to a check: allowed, denied, or conditional on context that was not given.

Doubt of any other kind (a limit, a timeout, a fault) is an error and never a Decision.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    """The three truth values."""

    ALLOWED = "allowed"
    DENIED = "denied"
    CONDITIONAL = "conditional"


class Decision(NamedTuple):
    """A verdict; `missing` names the caveat parameters that a conditional one still needs."""

    verdict: Verdict
    missing: frozenset[str] = frozenset()

    @property
    def allowed(self) -> bool:
        """True only for an unconditional yes."""
        return self.verdict is Verdict.ALLOWED


ALLOWED = Decision(Verdict.ALLOWED)
DENIED = Decision(Verdict.DENIED)


def conditional(missing: frozenset[str]) -> Decision:
    """A conditional decision that needs the parameters `missing`."""
    return Decision(Verdict.CONDITIONAL, missing)
