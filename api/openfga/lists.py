"""ListObjects, at once and streamed, and ListUsers.

Lists are whole. Where a most is configured, a list that was cut says so: in a header, or in the
last line of a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from api.asgi import Answer, Patience
from api.calls import Call
from api.errors import DeadlinePassed
from api.openfga import fields, keys
from api.openfga.answers import INCOMPLETE, answer, headers
from api.openfga.asking import (
    About,
    Terms,
    conditional,
    contextual_of,
    terms_of,
    tuples_of,
)
from api.openfga.errors import CODES, Refused, wording
from api.openfga.fields import Message, body_of, invalid
from api.streaming import Stream
from engine.decision import Decision, Verdict
from engine.errors import CycleThroughExclusion, EngineError
from engine.pages import Way
from engine.requests import (
    Gap,
    LookupObjects,
    LookupSubjects,
)
from engine.tuples import WILDCARD, Object, Subject

_NAMES = ("type_not_found", "relation_not_found")
_INTERNAL = CODES["internal_error"]
_GRACE = 1.0


class _Page(Protocol):
    """A page of either list."""

    @property
    def gaps(self) -> tuple[Gap, ...]: ...

    @property
    def zookie(self) -> str: ...

    @property
    def schema_name(self) -> str: ...


class _Question(NamedTuple):
    """A question for a list: how it is asked, and what it is about."""

    terms: Terms
    about: About


P = TypeVar("P", bound=_Page)
Entries = AsyncGenerator[tuple[_Page, list[Any]], None]


async def list_objects(call: Call) -> Answer:
    """`POST /list-objects`."""
    asked, question = decode_list_objects(call, await call.text())
    return await _whole(call, "objects", _objects(call, asked, question))


async def list_users(call: Call) -> Answer:
    """`POST /list-users`."""
    asked, question = decode_list_users(call, await call.text())
    pages = call.engine.stream_subjects(call.store, asked, _way(call, question.terms))

    def entries(page: Any) -> list[dict[str, Any]]:
        shown = (str(asked.object), asked.relation)
        return [
            _user(found.subject)
            for found in page.subjects
            if _allowed(found.decision, *shown, found.subject)
        ]

    return await _whole(call, "users", _entries(call, pages, question, entries))


async def streamed_list_objects(call: Call) -> None:
    """`POST /streamed-list-objects`: an object a line."""
    with Patience(call.settings.read_timeout):
        text = await call.text()
    asked, question = decode_list_objects(call, text)
    stream = Stream(call, b"application/json")
    found = 0
    most = call.settings.openfga_max_results
    try:
        async with aclosing(_objects(call, asked, question)) as pages:
            async for page, objects in pages:
                if not stream.started:
                    await stream.start(headers(page.zookie, page.schema_name)[1:])
                room = objects[: most - found] if most else objects
                if room:
                    await stream.send(_lines([{"result": {"object": one}} for one in room]))
                found += len(objects)
                if most and found > most:
                    raise _cut(most)
    except (EngineError, Refused) as error:
        if not stream.started:
            raise
        code, _, message = wording(error)
        told = {"code": CODES.get(code, _INTERNAL), "message": message, "details": []}
        await stream.send(_lines([{"error": told}]))
    await stream.finish()


def _lines(items: Sequence[Any]) -> bytes:
    return msgspec.json.Encoder().encode_lines(items)


def _cut(most: int) -> Refused:
    return Refused("exceeded_entity_limit", f"the list was cut after {most} entries")


async def _whole(call: Call, name: str, pages: Entries) -> Answer:
    """The answer with all entries, or with as many as are configured."""
    found: list[Any] = []
    zookie, model = "", ""
    most = call.settings.openfga_max_results
    async with aclosing(pages):
        async for page, entries in pages:
            zookie, model = page.zookie, page.schema_name
            found += entries
            if most and len(found) > most:
                break
    told = answer({name: found[:most] if most else found}, zookie=zookie, model=model)
    cut = bool(most) and len(found) > most
    return told._replace(headers=(*told.headers, INCOMPLETE)) if cut else told


def _objects(call: Call, asked: LookupObjects, question: _Question) -> Entries:
    pages = call.engine.stream_objects(call.store, asked, _way(call, question.terms))

    def entries(page: Any) -> list[str]:
        return [
            str(found.object)
            for found in page.objects
            if _allowed(found.decision, str(found.object), asked.relation, asked.subject)
        ]

    return _entries(call, pages, question, entries)


async def _entries(
    call: Call,
    pages: AsyncGenerator[P, None],
    question: _Question,
    entries: Callable[[P], list[Any]],
) -> Entries:
    """Each page with its entries. Raises Failure: a list is whole, or refused."""
    try:
        async with aclosing(pages):
            while (page := await _next(call, pages)) is not None:
                for gap in page.gaps:
                    if not isinstance(gap.error, CycleThroughExclusion):  # that one is denied
                        raise gap.error
                yield page, entries(page)
    except EngineError as error:
        raise question.terms.refusal(error, question.about, _NAMES) from None


async def _next(call: Call, pages: AsyncGenerator[P, None]) -> P | None:
    """The next page. Raises DeadlinePassed when the engine is stuck beyond its own deadline; of a
    call that does not stream the front bounds the whole."""
    if not call.streams:
        return await anext(pages, None)
    try:
        async with asyncio.timeout(call.deadline + _GRACE):
            return await anext(pages, None)
    except TimeoutError:
        raise DeadlinePassed("a page was late", budget="milliseconds") from None


def _allowed(decision: Decision, object_: str, relation: str, subject: Subject) -> bool:
    """Whether an entry is one. Raises Refused for one that misses context."""
    if decision.verdict is Verdict.CONDITIONAL:
        told = keys.shown(object_, relation, keys.told_user(subject))
        raise conditional(decision, told)
    return decision.allowed


def _way(call: Call, terms: Terms) -> Way:
    most = call.settings.limit_page_maximum
    return Way(most, None, terms.consistency, call.deadline, terms.overlay)


def _user(subject: Subject) -> dict[str, Any]:
    """A subject as a `User`."""
    kind, id_, relation = subject
    if id_ == WILDCARD:
        return {"wildcard": {"type": kind}}
    if relation:
        return {"userset": {"type": kind, "id": id_, "relation": relation}}
    return {"object": {"type": kind, "id": id_}}


def decode_list_objects(call: Call, text: bytes) -> tuple[LookupObjects, _Question]:
    """What the body of a ListObjects asks for. Raises Refused."""
    body = body_of(text, "ListObjectsRequest")
    terms = terms_of(call, body)
    kind = body.text("type", fields.TYPE)
    relation = body.text("relation", fields.RELATION)
    user = body.text("user", fields.LISTED_USER)
    subject = keys.listed_user(user)
    context = body.struct("context")
    tuples = contextual_of(call, body)
    asked = LookupObjects([kind], relation, subject, context, tuples)
    return asked, _Question(terms, About(kind, relation, subject, tuples))


def decode_list_users(call: Call, text: bytes) -> tuple[LookupSubjects, _Question]:
    """What the body of a ListUsers asks for. Raises Refused."""
    body = body_of(text, "ListUsersRequest")
    terms = terms_of(call, body)
    object_ = _object(body.required("object", "Object"))
    relation = body.text("relation", fields.RELATION)
    filters = body.messages("user_filters", "UserTypeFilter")
    if len(filters) != 1:
        raise invalid(body.name, "user_filters", "value must contain exactly 1 item(s)")
    kind = filters[0].text("type", fields.TYPE)
    subject_relation = filters[0].text("relation", fields.KEY_RELATION)
    context = body.struct("context")
    tuples = tuples_of(call, body, "contextual_tuples")
    asked = LookupSubjects(object_, relation, kind, subject_relation, context, tuples)
    about = About(object_.type, relation, Subject(kind, "", subject_relation), tuples)
    return asked, _Question(terms, about)


def _object(given: Message) -> Object:
    kind = given.text("type", fields.TYPE)
    id_ = given.text("id", fields.OBJECT_ID)
    text = f"{kind}:{id_}"
    return keys.object_of(text, text)
