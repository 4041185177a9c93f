"""The searches: who may, on what, and what. They list those whose evaluation is a permit.

A wildcard is no subject: that everyone of a type is permitted is told in the `context` of the page
where it would stand, and so are those whom the wildcard does not let in. What was left out for want
of context, and what could not be decided, is told there, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from api.asgi import Answer
from api.authzen.asking import answered, consistency_of, mapping_of, options_of, overlay_of
from api.authzen.decode import Open, Question, read_question
from api.authzen.errors import is_unknown_name, told
from api.calls import Call
from api.fga_ids import store_id
from api.members import Problems
from engine.decision import Decision, Verdict
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import Gap, LookupObjects, LookupPermissions, LookupSubjects
from engine.tuples import WILDCARD

Json = dict[str, Any]
_PAGES_AT_ONCE = 10
"""Pages of entries that are all left out are passed over, up to so many."""


@dataclass(slots=True)
class _Found:
    """What a search has found so far."""

    paged: bool
    results: list[Json] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)
    wildcard: bool = False
    denied: list[Json] = field(default_factory=list)
    cursor: str | None = None
    zookie: str | None = None

    def decided(self, entry: Json, decision: Decision) -> None:
        """Note an entry that is permitted, or what it misses."""
        if decision.allowed:
            self.results.append(entry)
        self.missing |= decision.missing

    def needs_more(self, cursor: str | None, gaps: Iterable[Gap], zookie: str) -> bool:
        """Note the end of a page; whether there is another, and nothing has been found yet."""
        self.cursor, self.zookie = cursor, zookie
        self.gaps += gaps
        return cursor is not None and not (self.results or self.wildcard or self.gaps)

    def answer(self) -> Answer:
        """The response: `page` only where it was asked for or is needed."""
        body: Json = {}
        if self.paged or self.cursor:
            body["page"] = {"next_token": self.cursor or "", "count": len(self.results)}
        if context := self._context():
            body["context"] = context
        return answered({**body, "results": self.results}, self.zookie)

    def _context(self) -> Json:
        context: Json = {}
        if self.wildcard:
            context["wildcard"] = True
        if self.denied:
            context["denied"] = self.denied
        if self.missing:
            context["missing_context"] = sorted(self.missing)
        if self.gaps:
            context["complete"] = False
            context["gaps"] = [
                {"about": gap.about or None, "error": told(gap.error)} for gap in self.gaps
            ]
        return context


async def search_subjects(call: Call) -> Answer:
    """`POST /access/v1/search/subject`."""
    question, way, found = await _read(call, "subject")
    mapping = mapping_of(call)
    with _unknown_finds_nothing():
        asked = LookupSubjects(
            question.object(),
            question.relation(mapping),
            question.subject_type(),
            context=question.caveat_context(),
            contextual_tuples=question.contextual_tuples(mapping),
        )
        for _ in range(_PAGES_AT_ONCE):
            page = await call.engine.lookup_subjects(call.store, asked, way)
            for subject, decision in page.subjects:
                entry = {"type": subject.type, "id": subject.id}
                if subject.id == WILDCARD:
                    found.wildcard = decision.allowed
                    found.missing |= decision.missing
                elif decision.verdict is Verdict.DENIED:
                    found.denied.append(entry)
                else:
                    found.decided(entry, decision)
            if not found.needs_more(page.cursor, page.gaps, page.zookie):
                break
            way = replace(way, cursor=page.cursor)
    return found.answer()


async def search_resources(call: Call) -> Answer:
    """`POST /access/v1/search/resource`."""
    question, way, found = await _read(call, "resource")
    mapping = mapping_of(call)
    with _unknown_finds_nothing():
        asked = LookupObjects(
            (question.resource_type(),),
            question.relation(mapping),
            question.asker(),
            question.caveat_context(),
            question.contextual_tuples(mapping),
        )
        for _ in range(_PAGES_AT_ONCE):
            page = await call.engine.lookup_objects(call.store, asked, way)
            for object_, decision in page.objects:
                found.decided({"type": object_.type, "id": object_.id}, decision)
            if not found.needs_more(page.cursor, page.gaps, page.zookie):
                break
            way = replace(way, cursor=page.cursor)
    return found.answer()


async def search_actions(call: Call) -> Answer:
    """`POST /access/v1/search/action`: permissions, or the actions that are configured for the
    type of resource. There are as many as the schema has, and they come in one page."""
    question, way, found = await _read(call, "action")
    mapping = mapping_of(call)
    with _unknown_finds_nothing():
        named = mapping.actions.get(question.resource_type())
        asked = LookupPermissions(
            question.object(),
            question.asker(),
            question.caveat_context(),
            question.contextual_tuples(mapping),
            relations=named is not None or _all_are_actions(call.store),
        )
        page = await call.engine.lookup_permissions(call.store, asked, way)
        for action, decision in _actions(named, page.permissions):
            found.decided({"name": action}, decision)
        ours = None if named is None else set(named.values())
        found.gaps = [gap for gap in page.gaps if ours is None or gap.about in ours]
        found.zookie = page.zookie
    return found.answer()


def _all_are_actions(store: str) -> bool:
    """Whether every relation of the store's types is an action: the models of OpenFGA do not tell
    permissions from other relations."""
    return store_id(store) is not None


def _actions(named: Any, permissions: Iterable[tuple[str, Decision]]) -> list[tuple[str, Decision]]:
    if named is None:
        return list(permissions)
    known = dict(permissions)
    return sorted(
        (action, known[permission]) for action, permission in named.items() if permission in known
    )


async def _read(call: Call, searched: str) -> tuple[Question, Way, _Found]:
    problems = Problems()
    body = Open(await call.json(), "", problems)
    question = read_question(body, problems, searched)
    options = options_of(body, problems)
    page = Open(body.object("page"), "page", problems)
    limit = page.optional_count("limit")
    if limit is not None:
        limit = min(limit, call.settings.limit_page_maximum)
    cursor = page.optional_text("token") or None
    consistency = consistency_of(call, options, problems)
    problems.raise_any()
    assert question is not None
    paged = body.get("page") is not None
    return question, Way(limit, cursor, consistency, call.deadline, overlay_of(call)), _Found(paged)


@contextlib.contextmanager
def _unknown_finds_nothing() -> Iterator[None]:
    """A search that names what the schema does not have finds nothing. Raises any other error."""
    try:
        yield
    except EngineError as error:
        if not is_unknown_name(error):
            raise
