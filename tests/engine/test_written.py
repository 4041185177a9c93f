"""When tuples were written is told of them for ever."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from engine.engine import Engine
from engine.limits import Limits
from engine.requests import Overlay, WriteRequest
from engine.store.protocol import Storage
from engine.tuples import parse_tuple
from tests.store.tenant import touch

SCHEMA = "definition user {}\ndefinition document { relation viewer: user }"
VIEWERS = [f"document:1#viewer@user:{number}" for number in range(4)]


async def test_a_read_tells_when_its_tuples_were_written(either_storage: Storage) -> None:
    engine = Engine(either_storage, limits=replace(Limits(), page_default=3))
    name = f"s{uuid4().hex}"
    await engine.create_store(name)
    await engine.write_schema(name, SCHEMA)
    moments = {}
    for item in VIEWERS:
        answer = await engine.write(name, WriteRequest(touch(item)))
        at = await engine.freshness.resume(await engine.get_store(name), answer.zookie, "")
        moments[item] = at.committed_at
    await engine.write(name, WriteRequest(touch(VIEWERS[0])))
    await engine.collect_garbage(name, window=timedelta(days=-1))
    found: dict[str, datetime] = {}
    cursor = None
    while cursor is not None or not found:
        page = await engine.read(name, None, cursor=cursor, written=True)
        found |= dict(zip(map(str, page.tuples), page.written, strict=True))
        cursor = page.cursor
    assert found == moments
    plain = await engine.read(name, None)
    assert (len(plain.tuples), plain.written) == (3, ())
    added = parse_tuple("document:1#viewer@user:x")
    overlay = Overlay([added, parse_tuple(VIEWERS[0])])
    laid = await engine.read(name, None, limit=5, overlay=overlay, written=True)
    times = dict(zip(map(str, laid.tuples), laid.written, strict=True))
    assert times.keys() == {*found, str(added)}
    assert times[str(added)] == times[VIEWERS[0]] > max(moments.values())
    assert {item: times[item] for item in VIEWERS[1:]} == {
        item: moments[item] for item in VIEWERS[1:]
    }
