"""The bodies of ordinary requests, as msgspec reads them for `api.native.hot`.

That is compiled, which these classes cannot be: msgspec makes them.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import UNSET, Struct, UnsetType

Consistency: TypeAlias = str | dict[str, str] | UnsetType


class Item(Struct, forbid_unknown_fields=True, gc=False):
    """What names a check or a tuple."""

    object: str
    relation: str
    subject: str


class Single(Item, forbid_unknown_fields=True, gc=False):
    """One check."""

    consistency: Consistency = UNSET


class Batch(Struct, forbid_unknown_fields=True):
    """Many checks."""

    checks: list[Item]
    consistency: Consistency = UNSET


class Update(Struct, forbid_unknown_fields=True, gc=False):
    """A change to one tuple."""

    op: str
    tuple: Item | str


class Write(Struct, forbid_unknown_fields=True):
    """Changes to many."""

    updates: list[Update]
