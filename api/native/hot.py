"""The short way of checks and writes through JSON: ordinary bodies and ordinary answers.

What is read here is read alike by `api.native.decode`, which alone refuses: whatever is unusual in
a body, and whatever is wrong, makes these functions answer None, and the body is read again there.
A test holds that the two agree.

A body is ordinary when it holds nothing but plain texts. Then an exact count finds a key that
stands twice, which no fast parser refuses: a text without `\\` has two `"` for each of its strings,
and none elsewhere, so that there are more of them than the strings that were read only if one was
read over.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
from msgspec import UNSET

from api.consistencies import decode_consistency
from api.members import Problems
from api.native import bodies, render
from api.native.decode import relation_name
from engine.decision import ALLOWED, DENIED, Decision
from engine.errors import EngineError
from engine.requests import MINIMIZE_LATENCY, BatchAnswer, Check, CheckAnswer, Consistency
from engine.store.protocol import Update, UpdateOp
from engine.tuples import (
    Object,
    RelationTuple,
    Subject,
    make_tuple,
    parse_object,
    parse_subject,
    parse_tuple,
)

UPDATE_OPS = {op.value: op for op in (UpdateOp.TOUCH, UpdateOp.CREATE, UpdateOp.DELETE)}
"""What a write may do with a tuple, by its name."""

# A part of what `engine.tuples` takes, which it splits at the same place.
_ID = r"([A-Za-z0-9_/]{1,64}):([A-Za-z0-9_/|=+.@-]{1,256})"
_OBJECT = re.compile(_ID, re.ASCII)
_SUBJECT = re.compile(rf"{_ID}(?:#([A-Za-z0-9_]{{1,64}}))?", re.ASCII)


_LINE = msgspec.json.Decoder(bodies.Item)
_SINGLE = msgspec.json.Decoder(bodies.Single)
_BATCH = msgspec.json.Decoder(bodies.Batch)
_WRITE = msgspec.json.Decoder(bodies.Write)
_ITEM_STRINGS = 6


class _UnusualError(Exception):
    """Not for here."""


def plain_check(text: bytes) -> tuple[Check, Consistency] | None:
    """A check and its consistency, None unless the body is ordinary."""
    try:
        body = _SINGLE.decode(text)
        consistency, strings = _consistency(body.consistency)
        if text.count(b'"') != 2 * (_ITEM_STRINGS + strings) or b"\\" in text:
            return None
        check = Check(_object(body.object), _relation(body.relation), _subject(body.subject))
    except (msgspec.MsgspecError, EngineError, _UnusualError, UnicodeError):
        return None
    return check, consistency


def plain_batch(text: bytes) -> tuple[list[Check], Consistency] | None:
    """The checks of a batch and their consistency, None unless the body is ordinary."""
    try:
        body = _BATCH.decode(text)
        consistency, strings = _consistency(body.consistency)
        items = body.checks
        if text.count(b'"') != 2 * (1 + _ITEM_STRINGS * len(items) + strings) or b"\\" in text:
            return None
        checks = [
            Check(_object(item.object), _relation(item.relation), _subject(item.subject))
            for item in items
        ]
    except (msgspec.MsgspecError, EngineError, _UnusualError, UnicodeError):
        return None
    return checks, consistency


def plain_write(text: bytes) -> list[Update] | None:
    """The updates of a write that has nothing else, None unless the body is ordinary."""
    strings = 1
    updates: list[Update] = []
    try:
        for update in _WRITE.decode(text).updates:
            item = update.tuple
            if isinstance(item, str):
                strings += 4
                made = parse_tuple(item)
            else:
                strings += 3 + _ITEM_STRINGS
                made = _tuple(item)
            updates.append(Update(UPDATE_OPS[update.op], made))
        if text.count(b'"') != 2 * strings or b"\\" in text:
            return None
    except (msgspec.MsgspecError, EngineError, KeyError, UnicodeError):
        return None
    return updates


def plain_tuple(line: bytes) -> RelationTuple | None:
    """The tuple of one line of an import, None unless it is ordinary and has no caveat and no
    end."""
    if line.count(b'"') != 2 * _ITEM_STRINGS or b"\\" in line:
        return None
    try:
        return _tuple(_LINE.decode(line))
    except (msgspec.MsgspecError, EngineError, UnicodeError):
        return None


def _tuple(item: bodies.Item) -> RelationTuple:
    match = _SUBJECT.fullmatch(item.subject)
    subject = Subject(*match.groups("")) if match else parse_subject(item.subject)
    return make_tuple(_object(item.object), _relation(item.relation), subject)


def _consistency(value: bodies.Consistency) -> tuple[Consistency, int]:
    """The consistency, and how many strings it was made of with its own key."""
    if value is UNSET:
        return MINIMIZE_LATENCY, 0
    if type(value) is dict:
        strings = 1 + 2 * len(value)
        printable = all(map(str.isprintable, value.values()))
    else:
        strings, printable = 2, True
    problems = Problems()
    made = decode_consistency(value, "consistency", problems)
    if problems.found or not printable:
        raise _UnusualError
    return made, strings


def _object(text: str) -> Object:
    match = _OBJECT.fullmatch(text)
    return Object(*match.groups()) if match else parse_object(text)


# Few subjects and relations ask at a time, each often.
@lru_cache(2048)
def _subject(text: str) -> Subject:
    return parse_subject(text)


@lru_cache(1024)
def _relation(text: str) -> str:
    return relation_name(text, "relation")


_ALLOWED = render.encode(render.decision(ALLOWED))
_DENIED = render.encode(render.decision(DENIED))


def rendered_check(answer: CheckAnswer) -> bytes:
    """The answer to one check as JSON."""
    if answer.explanation is not None:
        return render.encode(render.check(answer))
    return b'%b,"zookie":%b}' % (_decision(answer.decision)[:-1], render.encode(answer.zookie))


def rendered_batch(answer: BatchAnswer) -> bytes:
    """The answers to a batch as JSON."""
    if answer.explanations.count(None) != len(answer.results):
        return render.encode(render.batch(answer))
    results = b",".join(map(_decision, answer.results))
    return b'{"results":[%b],"zookie":%b}' % (results, render.encode(answer.zookie))


def _decision(item: Decision | EngineError) -> bytes:
    if item is ALLOWED:
        return _ALLOWED
    return _DENIED if item is DENIED else render.encode(render.outcome(item))
