"""Checks that may follow only so many usersets and arrows, for those who ask for such a limit.

The evaluator has no depth of its own: whatever the way, an answer is right. OpenFGA ends a check in
an error at its 25th hop. Hops are counted where tuples are read: a goal is as far away as the
shortest way that was found to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine import asking
from engine.asking import Ground
from engine.budget import Budget
from engine.decision import Decision
from engine.errors import BudgetExceeded, EngineError
from engine.reader import Edge, Probe, Reader, Scan
from engine.requests import Check

_BUDGET = "depth"


class DepthReader:
    """Reads for one evaluation as `reader` does, up to goals that are `most` hops away from what
    was read first. What has no known way is as far away as there were rounds before."""

    def __init__(self, reader: Reader, most: int) -> None:
        self._reader = reader
        self._most = most
        self._round = -1
        self._goals: dict[tuple[str, str, str], int] = {}
        self._objects: dict[tuple[str, str], int] = {}

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[Sequence[Edge | None], Sequence[Sequence[Edge]]]:
        """See `engine.reader.Reader.fetch`. Raises BudgetExceeded for goals too far away."""
        self._round += 1
        wanted: list[Probe | Scan] = [*probes, *scans]
        for each in wanted:
            if self._depth(each) >= self._most:
                raise BudgetExceeded.of(_BUDGET)
            if not self._round:
                self._objects[each.object_type, each.object_id] = 0
        found, lists = await self._reader.fetch(probes, scans, limit)
        for scan, edges in zip(scans, lists, strict=True):
            depth = self._depth(scan) + 1
            for kind, id_, relation, *_ in edges:
                goal, object_ = (kind, id_, relation), (kind, id_)
                self._goals[goal] = min(depth, self._goals.get(goal, depth))
                self._objects[object_] = min(depth, self._objects.get(object_, depth))
        return found, lists

    def _depth(self, wanted: Probe | Scan) -> int:
        kind, id_, relation = wanted.object_type, wanted.object_id, wanted.relation
        depth = self._goals.get((kind, id_, relation))
        return self._objects.get((kind, id_), self._round) if depth is None else depth


async def answer(
    ground: Ground, checks: Sequence[Check], budget: Budget, most: int, field: str = ""
) -> list[Decision | EngineError]:
    """As `engine.asking.answer`, with an error in place of a decision that is not made within
    `most` hops."""
    results = await asking.answer(_limited(ground, most), checks, budget, field)
    for index, result in enumerate(results):
        # One that went too far keeps the others of its evaluation from being told.
        if len(checks) > 1 and isinstance(result, BudgetExceeded) and _too_deep(result):
            (results[index],) = await asking.answer(
                _limited(ground, most), checks[index : index + 1], budget
            )
    return results


def _limited(ground: Ground, most: int) -> Ground:
    return replace(ground, reader=DepthReader(ground.reader, most))


def _too_deep(error: BudgetExceeded) -> bool:
    return error.extra.get("budget") == _BUDGET
