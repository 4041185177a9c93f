"""LookupSubjects: who is a member of an object's relation?

Asked for one form of subject: a type, and a subject relation or none. `engine.mentions` finds the
candidates; those that are not certain already are decided by `engine.check`, against the tuples
that the walk has read. The wildcard is decided by asking for a subject that no tuple names. Every
page of a list is at one snapshot, and they share one walk.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from time import perf_counter
from typing import NamedTuple

from engine.asking import Ground, checked_context, checked_overlay
from engine.budget import Budget
from engine.check import Evaluation, evaluate
from engine.decision import ALLOWED, DENIED, Decision, Verdict
from engine.digest import Part, of_tuples
from engine.errors import BudgetExceeded, EngineError, InvalidContext, InvalidRequest
from engine.formula import decided
from engine.jsontext import canonical_json
from engine.kept import Kept, key_of
from engine.limits import Limits
from engine.mentions import Held, Mentions, Standing
from engine.pages import Page, Pages, Way
from engine.plan import SubjectForm
from engine.reader import Reader
from engine.requests import (
    FoundSubject,
    Gap,
    LookupSubjects,
    SubjectCount,
    SubjectsAnswer,
)
from engine.store.overlay import OverlayReader
from engine.tuples import WILDCARD, Subject, check_subject_id
from engine.write import check_count

_NAME = "lookup_subjects"
_STRANGER = ""
"""The id of a subject that no tuple names, and the place before all ids: an id is never empty."""
_DECIDED_AT_ONCE = 256
_GAPS_TOLD = 10
_KEPT_TUPLES = 200_000
_Decided = tuple[str, Decision | EngineError]


class Subjects:
    """Answers lookups of subjects in pages, as a stream, and as numbers.

    Every method raises UnknownType, UnknownRelation, InvalidRequest, LimitExceeded,
    InvalidContext, what `Pages.open` raises and what the reader raises. A budget that is used up
    is a gap in the answer.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._kept: Kept[Walked] = Kept(_KEPT_TUPLES)

    async def page(
        self,
        store: str,
        asked: LookupSubjects,
        way: Way,
    ) -> SubjectsAnswer:
        """One page."""
        size = self._pages.size(way)
        page, look = await self._begin(store, asked, way)
        answer, _ = await self._page(page, look, page.position, size)
        if answer.cursor is not None and look.walked is not None:
            self._kept.keep(key_of(page), look.walked, look.walked.size + 1)
        return answer

    async def stream(
        self,
        store: str,
        asked: LookupSubjects,
        way: Way,
    ) -> AsyncGenerator[SubjectsAnswer, None]:
        """All pages after a cursor, of one walk; the deadline is the walk's, and each page's."""
        size = self._pages.size(way)
        page, look = await self._begin(store, asked, way)
        position = page.position
        while True:
            answer, position = await self._page(page, look, position, size)
            yield answer
            if position is None or look.interrupted:
                return
            page.budget.deadline = perf_counter() + self._pages.seconds(way)

    async def count(
        self,
        store: str,
        asked: LookupSubjects,
        way: Way,
    ) -> SubjectCount:
        """How many entries the whole list has."""
        page, look = await self._begin(store, asked, way)
        counts: Counter[Verdict] = Counter()
        async for id_, result in look.decided(_STRANGER, _DECIDED_AT_ONCE):
            if isinstance(result, EngineError):
                look.spoiled(id_, result)
            elif look.lists(result):
                counts[result.verdict] += 1
        wildcard = look.wildcard if look.wildcard.verdict is not Verdict.DENIED else None
        numbers = (counts[Verdict.ALLOWED], counts[Verdict.CONDITIONAL], counts[Verdict.DENIED])
        return SubjectCount(*numbers, wildcard, look.told_gaps(), page.zookie)

    async def _begin(
        self,
        store: str,
        asked: LookupSubjects,
        way: Way,
    ) -> tuple[Page, Look]:
        page = await self._pages.open(store, _NAME, _arguments(asked), way, (asked.object,))
        look = Look(page.ground, asked, page.budget)
        await look.begin(self._kept.use(key_of(page)) if way.cursor else None)
        return page, look

    async def _page(
        self, page: Page, look: Look, after: tuple[str, ...] | None, size: int
    ) -> tuple[SubjectsAnswer, tuple[str, ...] | None]:
        """The page after a position, and the position after which the next one begins."""
        found: list[FoundSubject] = []
        reached: tuple[str, ...] | None = None
        more = False
        if after is None and look.wildcard.verdict is not Verdict.DENIED:
            found.append(FoundSubject(look.subject(WILDCARD), look.wildcard))
            reached = (_STRANGER,)
        start = _STRANGER if after is None else after[0]
        async for id_, result in look.decided(start, min(size + 1, _DECIDED_AT_ONCE)):
            if isinstance(result, EngineError):
                look.spoiled(id_, result)
            elif look.lists(result):
                if len(found) == size:
                    more = True
                    break
                found.append(FoundSubject(look.subject(id_), result))
            reached = (id_,)
        following = reached if more or look.interrupted else None
        cursor = None if following is None else await self._pages.seal(page, following)
        told = (tuple(found), cursor, look.told_gaps(), page.zookie, page.ground.compiled.name)
        return SubjectsAnswer(*told), following


def _arguments(asked: LookupSubjects) -> Part:
    candidates = None if asked.candidates is None else sorted(asked.candidates)
    return (
        *asked.object,
        asked.relation,
        asked.subject_type,
        asked.subject_relation,
        canonical_json(dict(asked.context)),
        of_tuples(asked.contextual_tuples),
        candidates,
    )


class Walked(NamedTuple):
    """What a walk has found, whole and without gaps: the ids in order; those that are not certain,
    and the tuples that decide them; and the wildcard's decision."""

    ids: Sequence[str]
    doubtful: Collection[str]
    held: Held
    wildcard: Decision

    @property
    def size(self) -> int:
        """How many ids and tuples are held in memory."""
        return len(self.ids) + self.held.size


class Look:
    """One question at one snapshot: its candidates in order, and how each is decided.

    `wildcard` is the wildcard's decision. `stopped` says that the candidates are not all, and
    `interrupted` that there was no time left to decide them. `walked` serves the same question
    again, if there was a walk and nothing went wrong.
    """

    def __init__(self, ground: Ground, asked: LookupSubjects, budget: Budget) -> None:
        self.walked: Walked | None = None
        self.wildcard = DENIED
        self.stopped = False
        self.interrupted = False
        self._asked = asked
        self._budget = budget
        self._limits: Limits = ground.limits
        self._now = ground.now
        self._form = _checked_form(ground, asked)
        planner = ground.compiled.plans.for_subject(*self._form)
        self._plan = planner.plan(asked.object.type, asked.relation)
        checked_context(ground, asked.context, "context")
        self._bound = ground.compiled.caveats.bind(asked.context)
        overlay = checked_overlay(ground, asked.contextual_tuples, "contextual_tuples")
        self._reader: Reader = OverlayReader(ground.reader, overlay) if overlay else ground.reader
        self._chosen = asked.candidates is not None
        self._ids: Sequence[str] = _checked_candidates(asked, ground.limits)
        self._doubtful: Collection[str] = ()
        self._held = False
        self._lasting: list[Gap] = []
        self._gaps: list[Gap] = []

    async def begin(self, walked: Walked | None = None) -> None:
        """Find the candidates, and decide the wildcard, unless that was done before."""
        if self._plan is None:
            self._ids = ()
        elif self._chosen:
            if self._ids[:1] == [_STRANGER]:
                self._ids = self._ids[1:]
                await self._decide_wildcard()
        elif walked is None:
            await self._walk()
        else:
            self._take(walked)
            self.wildcard = walked.wildcard

    def subject(self, id_: str) -> Subject:
        """The subject of the wanted form with this id."""
        return Subject(self._form.type, id_, self._form.relation)

    def lists(self, decision: Decision) -> bool:
        """Whether a subject with this decision stands in the list."""
        if decision.verdict is not Verdict.DENIED:
            return True
        return not self._chosen and self.wildcard.verdict is not Verdict.DENIED

    def spoiled(self, id_: str, error: EngineError) -> None:
        """Note that a candidate could not be decided. Raises InvalidContext: that is no matter
        of the candidate, but of the request."""
        if isinstance(error, InvalidContext):
            raise error
        self._gaps.append(Gap(str(self.subject(id_)), error))

    def told_gaps(self) -> tuple[Gap, ...]:
        """The gaps since this was last asked, and those that concern the whole list."""
        told = (*self._lasting, *self._gaps)[:_GAPS_TOLD]
        self._gaps.clear()
        return told

    async def decided(self, after: str, at_once: int) -> AsyncIterator[_Decided]:
        """The candidates after an id in order, each with its decision or error. Ends early, and
        with a gap, when a budget is used up."""
        start = bisect_right(self._ids, after)
        at_once = len(self._ids) if self._chosen else at_once
        while start < len(self._ids):
            ids = self._ids[start : start + at_once]
            try:
                for item in zip(ids, await self._decide(ids), strict=True):
                    yield item
            except BudgetExceeded as error:
                self.interrupted = True
                self._gaps.append(Gap("", error))
                return
            start += len(ids)

    async def _walk(self) -> None:
        assert self._plan is not None  # `begin` has looked
        stranger = Evaluation(self.subject(_STRANGER), self._bound, self._now)
        mentions = Mentions(self._form, stranger)
        try:
            await mentions.gather(self._plan, self._asked.object.id, self._reader, self._budget)
        except BudgetExceeded as error:
            self.stopped = True
            self._lasting.append(Gap("", error))
            sure = (id_ for id_, how in mentions.standings.items() if how is Standing.SURE)
            self._ids, self._doubtful = sorted(sure), ()
            return
        doubtful = {id_ for id_ in mentions.standings if not mentions.is_sure(id_)}
        held = mentions.held if doubtful or mentions.wildcard else Held()
        walked = Walked(sorted(mentions.standings), doubtful, held, DENIED)
        self._take(walked)
        if mentions.wildcard:
            await self._decide_wildcard()
        if not self._lasting:
            self.walked = walked._replace(wildcard=self.wildcard)

    def _take(self, walked: Walked) -> None:
        self._ids, self._doubtful = walked.ids, walked.doubtful
        self._reader, self._held = walked.held, True

    async def _decide_wildcard(self) -> None:
        try:
            (result,) = await self._confirmed((_STRANGER,))
        except BudgetExceeded as error:
            result = error
        if isinstance(result, InvalidContext):
            raise result
        if isinstance(result, EngineError):
            self._lasting.append(Gap(str(self.subject(WILDCARD)), result))
        else:
            self.wildcard = result

    async def _decide(self, ids: Sequence[str]) -> list[Decision | EngineError]:
        doubtful = ids if self._chosen else [id_ for id_ in ids if id_ in self._doubtful]
        known = dict(zip(doubtful, await self._confirmed(doubtful), strict=True))
        return [known.get(id_, ALLOWED) for id_ in ids]

    async def _confirmed(self, ids: Sequence[str]) -> list[Decision | EngineError]:
        """A check of each. Raises BudgetExceeded."""
        assert self._plan is not None  # without a plan there are no candidates
        evaluations = [Evaluation(self.subject(id_), self._bound, self._now) for id_ in ids]
        roots = [each.ask(self._plan, self._asked.object.id) for each in evaluations]
        budget = self._budget
        if self._held:
            # What was read once is free; the goals of each candidate count by themselves.
            nodes = self._limits.evaluation_nodes * len(ids)
            budget = Budget(sys.maxsize, nodes, self._budget.deadline)
        await evaluate(evaluations, self._reader, budget)
        results = [decided(root) for root in roots]
        for each in evaluations:
            each.end()
        return results


def _checked_form(ground: Ground, asked: LookupSubjects) -> SubjectForm:
    compiled = ground.compiled
    compiled.require(asked.object.type, asked.relation, "object", "relation")
    if asked.subject_relation:
        fields = ("subject_type", "subject_relation")
        compiled.require(asked.subject_type, asked.subject_relation, *fields)
    else:
        compiled.object_type(asked.subject_type, "subject_type")
    return SubjectForm(asked.subject_type, asked.subject_relation)


def _checked_candidates(asked: LookupSubjects, limits: Limits) -> list[str]:
    """The candidates in order, each once, the stranger standing for the wildcard."""
    candidates = asked.candidates or ()
    check_count(len(candidates), limits.checks, "candidates")
    for index, id_ in enumerate(candidates):
        check_subject_id(id_, f"candidates[{index}]")
        if id_ == WILDCARD and asked.subject_relation:
            raise InvalidRequest(
                "a wildcard has no subject relation",
                field=f"candidates[{index}]",
                expected="the id of one object",
            )
    return sorted({_STRANGER if id_ == WILDCARD else id_ for id_ in candidates})
