"""Check agrees with the oracle on random worlds, and the comparison notices planted bugs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from engine import asking
from tests.engine.agreement import CHECKS_PER_WORLD, answerer, compare
from tests.engine.planted import PLANTED, Planted, copy_of_the_evaluator

WORLDS = 10_000 // CHECKS_PER_WORLD


async def test_ten_thousand_checks_agree_with_the_oracle() -> None:
    tally: Counter[str] = Counter()
    disagreements = []
    for seed in range(WORLDS):
        disagreements += await compare(seed, answerer(asking), tally)
    assert disagreements == []
    assert tally.total() == WORLDS * CHECKS_PER_WORLD
    assert tally["allowed"] >= 0.20 * tally.total()
    assert tally["conditional"] >= 0.05 * tally.total()
    assert tally["error"] > 0


async def test_an_unchanged_copy_of_the_evaluator_agrees(tmp_path: Path) -> None:
    copied = copy_of_the_evaluator(tmp_path, None)
    for seed in range(20):
        assert await compare(seed, answerer(copied), Counter()) == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
async def test_a_planted_bug_is_caught(planted: Planted, tmp_path: Path) -> None:
    copied = copy_of_the_evaluator(tmp_path, planted)
    for seed in range(WORLDS):
        if await compare(seed, answerer(copied), Counter()):
            return
    pytest.fail(f"{planted.name} went unnoticed in {WORLDS} worlds")
