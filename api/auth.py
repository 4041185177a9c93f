"""Who may call: preshared keys, known only by their SHA-256, scoped to stores and rights. Tokens
of an issuer stand beside them (`api.oidc`).

A key is written `name:sha256hex[:store+store...][:right+right...]`, keys are separated by commas.
No stores (or an empty part) means every store; no rights means every right. The name is the actor
that writes are recorded under; several keys, one per name, make rotation possible.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from engine.store.protocol import STORE_NAME

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Right(StrEnum):
    """What a key may do. None implies another."""

    READ = "read"
    CHECK = "check"
    WRITE = "write"
    SCHEMA = "schema"
    WATCH = "watch"
    ADMIN = "admin"


class Grant(NamedTuple):
    """Rights on stores; `stores` is None for every store."""

    stores: frozenset[str] | None
    rights: frozenset[Right]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling. `stores` is None for every store; `name` is "" when there are no keys.

    A token may have several `grants`, which do not add up: rights on one store are none on another.
    Then `asking` tells what counts for a call.
    """

    name: str
    stores: frozenset[str] | None
    rights: frozenset[Right]
    grants: tuple[Grant, ...] = ()

    def sees(self, store: str) -> bool:
        """Whether the store of this name is within the key's scope."""
        return self.stores is None or store in self.stores

    def asking(self, right: Right, store: str) -> Principal:
        """The principal as it stands before one call that needs `right`, about a store or, if that
        is "", about stores in general."""
        if not self.grants:
            return self
        if store:
            fit = [each for each in self.grants if each.stores is None or store in each.stores]
        else:
            fit = [each for each in self.grants if right in each.rights]
        return _summed(self.name, fit)


def granted(name: str, grants: Sequence[Grant]) -> Principal:
    """Who has these grants."""
    if len(grants) == 1:
        return Principal(name, *grants[0])
    return replace(_summed(name, grants), grants=tuple(grants))


def _summed(name: str, grants: Sequence[Grant]) -> Principal:
    stores: frozenset[str] | None = frozenset()
    for grant in grants:
        stores = None if stores is None or grant.stores is None else stores | grant.stores
    return Principal(name, stores, frozenset(right for each in grants for right in each.rights))


ALL = Grant(None, frozenset(Right))
ANYONE = Principal("", *ALL)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The configured keys: (digest of the secret, whose it is)."""

    keys: tuple[tuple[bytes, Principal], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.keys)

    def find(self, presented: bytes) -> Principal | None:
        """Whose secret this is. Compares with every key, in constant time, found or not."""
        digest = sha256(presented).digest()
        found = None
        for known, principal in self.keys:
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def bearer(value: bytes) -> bytes:
    """The secret in an `Authorization` header's value, or b"" if it carries none."""
    scheme, _, secret = value.partition(b" ")
    return secret.strip() if scheme.lower() == b"bearer" else b""


def parse_keys(text: str) -> Keyring:
    """`STONETOWN_API_KEYS` as a Keyring. Raises ValueError naming the key by its position."""
    keys: list[tuple[bytes, Principal]] = []
    for position, entry in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        keys.append(_parse_key(entry, f"key {position} of STONETOWN_API_KEYS"))
    names = [principal.name for _, principal in keys]
    if len(set(names)) != len(names):
        raise ValueError("two keys of STONETOWN_API_KEYS have the same name")
    return Keyring(tuple(keys))


def _parse_key(entry: str, which: str) -> tuple[bytes, Principal]:
    parts = entry.split(":")
    if not 2 <= len(parts) <= 4:
        raise ValueError(f"{which}: expected name:sha256hex[:stores][:rights]")
    name, digest, stores, rights = (*parts, "", "")[:4]
    if not _NAME.fullmatch(name):
        raise ValueError(f"{which}: a name is 1 to 64 letters, digits, `.`, `_`, `@` or `-`")
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{which}: expected the SHA-256 of the key as 64 lower-case hex digits")
    if len(parts) == 3 and stores and frozenset(stores.split("+")) <= set(Right):
        raise ValueError(f"{which}: stores come before rights; write name:sha256hex::rights")
    principal = Principal(name, *parse_grant(stores, rights, which))
    return bytes.fromhex(digest), principal


def parse_grant(stores: str, rights: str, which: str) -> Grant:
    """`store+store…` and `right+right…`: none means all. Raises ValueError naming `which`."""
    scope = frozenset(filter(None, stores.split("+")))
    named = frozenset(filter(None, rights.split("+")))
    if not all(STORE_NAME.fullmatch(store) for store in scope):
        raise ValueError(f"{which}: a store's name is [a-z][a-z0-9-]{{0,62}}")
    if unknown := named - set(Right):
        raise ValueError(f"{which}: {len(unknown)} unknown rights; known are {' '.join(Right)}")
    return Grant(scope or None, frozenset(Right(right) for right in named) or frozenset(Right))


def new_key(
    name: str, stores: Collection[str] = (), rights: Collection[str] = ()
) -> tuple[str, str]:
    """A fresh secret for the client, and the entry for `STONETOWN_API_KEYS`.

    Raises ValueError if the name, a store or a right is not one.
    """
    secret = "st_" + secrets.token_urlsafe(32)
    parts = [name, sha256(secret.encode()).hexdigest()]
    if stores or rights:
        parts.append("+".join(sorted(stores)))
    if rights:
        parts.append("+".join(sorted(rights)))
    entry = ":".join(parts)
    _parse_key(entry, "the new key")
    return secret, entry
