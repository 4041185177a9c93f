"""ULIDs, and the names that OpenFGA's stores have in the engine.

A ULID is 26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits
(github.com/ulid/spec). OpenFGA's own pattern for ids takes more than that, and so do we.
"""

from __future__ import annotations

import re
import secrets
from time import time_ns

ID = re.compile(r"[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}")
ID_PATTERN = "^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$"
_PREFIX = "fga-"
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80
_last = 0


def new_id() -> str:
    """A ULID greater than all that this process has made before."""
    global _last  # noqa: PLW0603 - the order of ids is a promise of the whole process
    made = (time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    _last = made if made > _last else _last + 1
    return "".join(_ALPHABET[_last >> shift & 31] for shift in range(125, -1, -5))


def store_name(store_id: str) -> str:
    """The engine's name of the store with this id."""
    return _PREFIX + store_id.lower()


def store_id(name: str) -> str | None:
    """The id of the store with this name, None if it is not one of OpenFGA's."""
    found = name.removeprefix(_PREFIX).upper()
    return found if name.startswith(_PREFIX) and ID.fullmatch(found) else None
