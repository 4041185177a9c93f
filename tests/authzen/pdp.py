"""A decision point under test: a real server with a schema and tuples in its store `default`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from engine.engine import Engine
from engine.requests import WriteRequest
from engine.store.postgres import PostgresStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import parse_tuple
from tests.api.serving import serving
from tests.conformance.conftest import served

Json = dict[str, Any]
STORE = "/v1/stores/default"


class Pdp:
    """What answers, and the engine behind it."""

    def __init__(self, http: httpx.AsyncClient, engine: Engine) -> None:
        self.http = http
        self.engine = engine

    async def post(self, path: str, body: Any, **extra: Any) -> httpx.Response:
        """POST JSON to an AuthZEN call of the store."""
        return await self.http.post(f"{STORE}{path}", json=body, **extra)

    async def ask(self, path: str, body: Any, **extra: Any) -> Json:
        """The answer to a request that is taken."""
        response = await self.post(path, body, **extra)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        told = response.json()
        assert isinstance(told, dict)
        return told

    async def write(self, *tuples: str) -> str:
        """Touch tuples; the zookie."""
        updates = [Update(UpdateOp.TOUCH, parse_tuple(text)) for text in tuples]
        return (await self.engine.write("default", WriteRequest(updates))).zookie


@contextlib.asynccontextmanager
async def on_memory(schema: str, tuples: Sequence[str] = (), **settings: Any) -> AsyncIterator[Pdp]:
    """A decision point on the memory storage."""
    async with serving(schema=schema, **settings) as server:
        pdp = Pdp(server.http, server.engine)
        if tuples:
            await pdp.write(*tuples)
        yield pdp


@contextlib.asynccontextmanager
async def on_postgres(
    database: str, schema: str, tuples: Sequence[str] = (), **settings: Any
) -> AsyncIterator[Pdp]:
    """A decision point on a Postgres database of its own."""
    engine = Engine(await PostgresStorage.connect(database))
    await engine.create_store("default")
    await engine.write_schema("default", schema)
    async with served(engine, **settings) as url, httpx.AsyncClient(base_url=url) as http:
        pdp = Pdp(http, engine)
        await pdp.write(*tuples)
        yield pdp
    await engine.close()


def entity(kind: str, id_: str, **properties: Any) -> Json:
    """A subject or a resource."""
    made: Json = {"type": kind, "id": id_}
    return made | ({"properties": properties} if properties else {})


def request(subject: str, action: str, resource: str, **more: Any) -> Json:
    """An evaluation of `type:id` texts."""
    asker, _, asker_id = subject.partition(":")
    kind, _, id_ = resource.partition(":")
    return {
        "subject": entity(asker, asker_id),
        "action": {"name": action},
        "resource": entity(kind, id_),
        **more,
    }
