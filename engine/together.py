"""Checks that arrive together, answered together, and without a task for each.

Whoever asks is told by a call. What cannot be answered here is told as None and has to be asked of
`Engine.check`: where the node's index does not show enough, where an answer takes long, and where
anything fails, for there it is said what is the matter.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from time import perf_counter
from typing import NamedTuple

from engine.asking import answer_now
from engine.budget import Budget
from engine.consistency import Freshness
from engine.errors import EngineError
from engine.limits import Limits
from engine.moments import Moment, Moments
from engine.requests import MINIMIZE_LATENCY, Check, CheckAnswer, Consistency, Overlay
from engine.telling import Found, Told

_log = logging.getLogger(__name__)

_SECONDS_PER_TURN = 0.001


class _Asked(NamedTuple):
    """One who waits."""

    check: Check
    overlay: Overlay | None
    budget: Budget
    told: Told


class Together:
    """The checks that wait for their moment, by the names of their stores."""

    def __init__(
        self, freshness: Freshness, moments: Moments, limits: Limits, read_from: Counter[str]
    ) -> None:
        self._freshness = freshness
        self._moments = moments
        self._limits = limits
        self._read_from = read_from
        self._waiting: dict[str, list[_Asked]] = {}

    def ask(
        self,
        store: str,
        check: Check,
        consistency: Consistency,
        told: Told,
        *,
        deadline: float,
        overlay: Overlay | None = None,
    ) -> bool:
        """See `engine.telling.Telling`."""
        limits = self._limits
        if (
            consistency is not MINIMIZE_LATENCY
            or check.explain
            or check.contextual_tuples
            or limits.depth
        ):
            return False
        waiting = self._waiting.get(store)
        if waiting is None:
            if self._freshness.at_hand(store) is None:
                return False
            waiting = self._waiting[store] = []
            # When all have asked who came in this turn of the loop.
            asyncio.get_running_loop().call_soon(self._seek, store)
        ends = perf_counter() + deadline
        budget = Budget(limits.evaluation_reads, limits.evaluation_nodes, ends)
        waiting.append(_Asked(check, overlay, budget, told))
        return True

    def _seek(self, store: str) -> None:
        """Seek a moment for those who wait; who comes later waits for the next one."""
        asked = self._waiting.pop(store)
        asked.reverse()
        try:
            self._moments.ask(store, partial(self._answer, asked))
        except Exception:  # noqa: BLE001 - whatever it is, it is found again where it can be told
            self._answer(asked, None)

    def _answer(self, asked: list[_Asked], moment: Moment | None) -> None:
        """Answer the last of them first, and leave the loop to others when it takes long."""
        turn = perf_counter()
        while asked:
            one = asked.pop()
            _tell(one.told, self._found(moment, one))
            if asked and perf_counter() - turn > _SECONDS_PER_TURN:
                asyncio.get_running_loop().call_soon(self._answer, asked, moment)
                return

    def _found(self, moment: Moment | None, asked: _Asked) -> Found:
        if moment is None or not moment.serves(asked.check.object, asked.overlay):
            return None
        try:
            until = perf_counter() + _SECONDS_PER_TURN
            decision = answer_now(moment.ground, asked.check, asked.budget, until)
        except EngineError as error:
            return error
        except Exception:  # noqa: BLE001 - as in `_seek`
            return None
        if decision is None:
            return None
        self._read_from["index"] += 1
        return CheckAnswer(decision, moment.zookie, None, moment.ground.compiled.name)


def _tell(told: Told, found: Found) -> None:
    try:
        told(found)
    except Exception:  # noqa: BLE001 - the others are to be told all the same
        _log.exception("an answer was not told")
