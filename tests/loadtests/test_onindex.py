"""What is measured on an index: organisations whose answers are known, shapes, and pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from engine.decision import DENIED as REFUSED
from engine.engine import Engine
from engine.requests import WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from loadtests import onindex, plots, shapes, tenants
from loadtests.filling import Row
from loadtests.load import tuple_of
from loadtests.tenants import CONDITIONAL, DENIED, DIRECT, TYPICAL, Query, Tenants

SMALL = tenants.TUPLES_EACH


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine(MemoryStorage())
    yield engine
    await engine.close()


async def load(engine: Engine, schema: str, rows: Iterable[Row]) -> None:
    await engine.create_store("s")
    await engine.write_schema("s", schema)
    left = iter(rows)
    while batch := list(islice(left, engine.limits.import_batch)):
        updates = [Update(UpdateOp.TOUCH, tuple_of(row)) for row in batch]
        await engine.import_batch("s", WriteRequest(updates))


async def wrong(engine: Engine, queries: Iterable[Query]) -> list[Query]:
    """The questions that are answered otherwise than they say."""
    return [
        query
        for query in queries
        if (await engine.check("s", query.check)).decision.allowed is not query.allowed
    ]


def test_a_seed_gives_the_same_organisations() -> None:
    first = list(Tenants(2 * SMALL).rows())
    assert first == list(Tenants(2 * SMALL).rows())
    assert first != list(Tenants(2 * SMALL, seed=2).rows())
    assert len({row[:6] for row in first}) == len(first)
    assert abs(len(first) / (2 * SMALL) - 1) < 0.02


async def test_every_question_has_the_answer_it_promises(engine: Engine) -> None:
    many = Tenants(2 * SMALL)
    await load(engine, tenants.SCHEMA, many.rows())
    mixed = many.mixed(1_000)
    kinds = Counter(query.kind for query in mixed)
    assert kinds.keys() == {DIRECT, TYPICAL, DENIED, CONDITIONAL}
    assert 0.02 < kinds[DENIED] / len(mixed) < 0.08
    assert await wrong(engine, mixed) == []
    for kind, allowed in ((DIRECT, True), (TYPICAL, True), (DENIED, False)):
        alike = many.alike(kind, 50)
        assert {query.allowed for query in alike} == {allowed}
        assert await wrong(engine, alike) == []
    assert await wrong(engine, many.batch(200)) == []
    refused = many.alike(DENIED, 5_000)
    assert {(await engine.check("s", query.check)).decision for query in refused} == {REFUSED}


async def test_every_shape_has_the_answer_it_promises(engine: Engine) -> None:
    await load(engine, shapes.SCHEMA, shapes.rows())
    for shape in shapes.shapes():
        queries = [Query(shape.name, check, shape.allowed) for check in shape.checks]
        assert len(queries) == shapes.ASKED
        assert await wrong(engine, queries[:10]) == []


async def test_the_benchmark_measures_on_an_index_and_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onindex, "ROUNDS", 1)
    monkeypatch.setattr(onindex, "QUERIES", 20)
    data = tmp_path / "data"
    data.mkdir()
    found = await onindex.run(data, SMALL)
    assert [row["kind"] for row in found["checks"][:3]] == [DIRECT, TYPICAL, DENIED]
    assert found["index"]["bytes_per_tuple"] > 0
    results = tmp_path / "results"
    results.mkdir()
    (results / "onindex-1m.json").write_text(json.dumps(found))
    plots.draw(results, tmp_path / "drawn")
    drawn = sorted(path.name for path in (tmp_path / "drawn").iterdir())
    assert drawn == ["batches.svg", "checks.svg", "index.svg", "shapes.svg"]
    for name in drawn:
        ET.parse(tmp_path / "drawn" / name)  # noqa: S314 - written just before
