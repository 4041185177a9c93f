"""One evaluation for identical checks that are under way at the same time, on Postgres.

Identical are checks of one snapshot with the same object, relation, subject and context. Their
`now` differs, so an answer is shared only if it met no tuple that expires. Errors, limits and
cancellations are nobody else's: whoever waited for one evaluates for itself.
"""

from __future__ import annotations

import asyncio
from time import perf_counter

from engine import asking
from engine.asking import NO_OVERLAY, Ground
from engine.budget import Budget
from engine.decision import Decision
from engine.errors import BudgetExceeded
from engine.jsontext import canonical_json
from engine.requests import Check
from engine.sight import at_hand
from engine.store.protocol import Snapshot


class InFlight:
    """The checks under way in one process."""

    def __init__(self) -> None:
        self._running: dict[tuple[object, ...], asyncio.Future[Decision | None]] = {}

    async def decide(
        self, ground: Ground, snapshot: Snapshot, check: Check, budget: Budget
    ) -> Decision:
        """The decision of a check at `snapshot`, on which `ground` stands. Raises as
        `engine.asking.answer_one`."""
        if not _may_share(ground, check):
            return (await asking.answer_one(ground, check, budget))[0]
        context = canonical_json(dict(check.context)) if check.context else ""
        key = (snapshot, check.object, check.relation, check.subject, context)
        running = self._running.get(key)
        if running is not None:
            found = await _result(running, budget)
            if found is not None:
                return found
            return (await asking.answer_one(ground, check, budget))[0]
        mine = self._running[key] = asyncio.get_running_loop().create_future()
        shared: Decision | None = None
        try:
            decision, timeless = await asking.answer_one(ground, check, budget)
            shared = decision if timeless else None
            return decision
        finally:
            del self._running[key]
            mine.set_result(shared)


def _may_share(ground: Ground, check: Check) -> bool:
    """Whether it is worth it: tuples that are at hand are read sooner than an answer is awaited."""
    return (
        not at_hand(ground.reader) and not check.contextual_tuples and ground.overlay is NO_OVERLAY
    )


async def _result(running: asyncio.Future[Decision | None], budget: Budget) -> Decision | None:
    try:
        async with asyncio.timeout(max(0.0, budget.deadline - perf_counter())):
            return await asyncio.shield(running)
    except TimeoutError:
        raise BudgetExceeded.of("milliseconds") from None
