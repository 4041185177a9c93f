"""The short way of checks through JSON: ordinary bodies and ordinary answers.

What is read here is read alike by `api.openfga.checks`, which alone refuses: whatever is unusual in
a body, and whatever is wrong, makes these functions answer None, and the body is read again there.
A test holds that the two agree. What makes a body ordinary is told in `api.native.hot`: it holds
nothing but plain texts, of which an exact count finds a key that stands twice.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from api.fga_ids import ID, store_id
from api.openfga.asking import HIGHER, Terms
from engine.requests import FULLY_CONSISTENT, MINIMIZE_LATENCY, AtLeastAsFresh, Check
from engine.tuples import Object, Subject

_Consistency: TypeAlias = Literal["", "UNSPECIFIED", "MINIMIZE_LATENCY", "HIGHER_CONSISTENCY"]

# Parts of what `api.openfga.keys` takes, split at the same place.
_OBJECT = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_|=+.@/-]{1,128})", re.ASCII)
_USER = re.compile(r"([A-Za-z0-9_-]{1,64}):([A-Za-z0-9_|=+.@/-]{1,128})(?:#([A-Za-z0-9_-]{1,50}))?")
_RELATION = re.compile(r"[A-Za-z0-9_-]{1,50}", re.ASCII)
_ZOOKIE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class _Key(Struct, forbid_unknown_fields=True, gc=False):
    user: str
    relation: str
    object: str


class _Single(Struct, forbid_unknown_fields=True, gc=False):
    tuple_key: _Key
    authorization_model_id: str = ""
    consistency: _Consistency = ""
    zookie: str = ""


class _Item(Struct, forbid_unknown_fields=True, gc=False):
    tuple_key: _Key
    correlation_id: str


class _Batch(Struct, forbid_unknown_fields=True):
    checks: list[_Item]
    authorization_model_id: str = ""
    consistency: _Consistency = ""
    zookie: str = ""


_SINGLE = msgspec.json.Decoder(_Single)
_BATCH = msgspec.json.Decoder(_Batch)
_SINGLE_STRINGS = 7
_ITEM_STRINGS = 9

ALLOWED = b'{"allowed":true,"resolution":""}'
DENIED = b'{"allowed":false,"resolution":""}'


class _UnusualError(Exception):
    """Not for here."""


def plain_check(text: bytes, store: str) -> tuple[Check, Terms] | None:
    """A check and its terms, None unless the body is ordinary."""
    try:
        body = _SINGLE.decode(text)
        terms, strings = _terms(body, store)
        if text.count(b'"') != 2 * (_SINGLE_STRINGS + strings) or b"\\" in text:
            return None
        return _check(body.tuple_key), terms
    except (msgspec.MsgspecError, _UnusualError, UnicodeError):
        return None


def plain_batch(text: bytes, store: str) -> tuple[dict[str, Check], Terms] | None:
    """The checks of a batch by correlation id and their terms, None unless the body is ordinary."""
    try:
        body = _BATCH.decode(text)
        terms, strings = _terms(body, store)
        items = body.checks
        if text.count(b'"') != 2 * (1 + _ITEM_STRINGS * len(items) + strings) or b"\\" in text:
            return None
        checks = {item.correlation_id: _check(item.tuple_key) for item in items}
    except (msgspec.MsgspecError, _UnusualError, UnicodeError):
        return None
    plain = len(checks) == len(items) and all(map(_CORRELATION.fullmatch, checks))
    return (checks, terms) if plain else None


_CORRELATION = re.compile(r"[A-Za-z0-9_-]{1,36}", re.ASCII)


def _terms(body: _Single | _Batch, store: str) -> tuple[Terms, int]:
    """The terms, and how many strings they were made of with their keys."""
    model, asked, zookie = body.authorization_model_id, body.consistency, body.zookie
    if (model and not ID.fullmatch(model)) or (zookie and not _ZOOKIE.fullmatch(zookie)):
        raise _UnusualError
    strings = 2 * (bool(model) + bool(asked) + bool(zookie))
    if asked == HIGHER:
        return Terms(_id(store), model, FULLY_CONSISTENT), strings
    consistency = AtLeastAsFresh(zookie) if zookie else MINIMIZE_LATENCY
    return Terms(_id(store), model, consistency), strings


def _check(key: _Key) -> Check:
    match = _OBJECT.fullmatch(key.object)
    if match is None:
        raise _UnusualError
    return Check(Object(*match.groups()), _relation(key.relation), _subject(key.user))


# Few subjects and relations ask at a time, each often.
@lru_cache(2048)
def _subject(text: str) -> Subject:
    match = _USER.fullmatch(text)
    if match is None:
        raise _UnusualError
    kind, id_, relation = match.groups()
    return Subject(kind, id_, relation or "")


@lru_cache(1024)
def _relation(text: str) -> str:
    if not _RELATION.fullmatch(text):
        raise _UnusualError
    return text


@lru_cache(1024)
def _id(store: str) -> str:
    return store_id(store) or ""
