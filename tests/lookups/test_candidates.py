"""Candidates of many sorted streams come in order, each once, however little is read at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from time import perf_counter

import pytest

from engine.candidates import Approach, Candidates
from engine.caveats import CaveatSet
from engine.confirm import Confirmation
from engine.limits import Limits
from engine.store.memory import MemoryStorage
from engine.tuples import Subject
from schema import parse_schema
from tests.store.contract_reverse import reverse
from tests.store.tenant import Tenant, touch

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLAIN = frozenset({("", False)})


@pytest.mark.parametrize("at_once", [1, 2, 5, 1000])
@pytest.mark.parametrize("seed", range(5))
async def test_streams_are_merged(seed: int, at_once: int) -> None:
    dice = random.Random(seed)
    groups = [f"group:{n}#member" for n in range(dice.choice([1, 3, 8]))]
    stored = {
        (f"{dice.randrange(60):02}", group): dice.choice(["", "", "", "[weekday]"])
        for group in groups
        for _ in range(dice.randrange(40))
    }
    tenant = await Tenant.make(MemoryStorage(lambda: NOW))
    await tenant.write(touch(*(f"doc:{i}#viewer@{g}{end}" for (i, g), end in stored.items())))
    reader = tenant.storage.reader(await tenant.snapshot())
    bound = CaveatSet(parse_schema("definition user {}")).bind({})
    confirmation = Confirmation(
        Subject("user", "ann"), bound, NOW, reader, Limits(), perf_counter() + 60
    )
    near = {f"{dice.randrange(60):02}": dice.random() < 0.5 for _ in range(10)}
    sure = {group: dice.random() < 0.5 for group in groups}
    scans = {reverse(f"doc#viewer@{group}"): (PLAIN, sure[group]) for group in groups}
    candidates = Candidates(Approach(dict(near), scans), "07", confirmation)

    expected = dict(near)
    for (id_, group), end in stored.items():
        if not end:  # the caveat is not allowed here
            expected[id_] = expected.get(id_, False) or sure[group]
    got: list[tuple[str, bool]] = []
    while (part := await candidates.part(reader, at_once)).ids:
        got += [(id_, id_ not in part.doubtful) for id_ in part.ids]
    assert got == sorted((id_, sure_) for id_, sure_ in expected.items() if id_ > "07")
