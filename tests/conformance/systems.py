"""The ways to ask Stonetown: the engine on each storage, and a real HTTP server."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import httpx

from engine.decision import Decision
from engine.engine import Engine
from engine.errors import EngineError
from engine.requests import AtExactSnapshot, Check, WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import RelationTuple

_numbers = itertools.count(1)


class Outcome(NamedTuple):
    """`allowed`, `denied`, `conditional` with the missing names, or `error` with its code."""

    verdict: str
    detail: frozenset[str] = frozenset()


class Tenant(Protocol):
    """One store of one system, for one scenario. All checks are made at exactly `zookie`."""

    engine: Engine
    name: str

    async def put_schema(self, text: str) -> str:
        """Write the schema; its zookie."""
        ...

    async def write(self, updates: Sequence[Update]) -> str:
        """Write; its zookie."""
        ...

    async def check(self, check: Check, zookie: str) -> Outcome:
        """One check by itself."""
        ...

    async def batch(self, checks: Sequence[Check], zookie: str) -> list[Outcome]:
        """Many checks in one request."""
        ...


def touches(tuples: Sequence[RelationTuple]) -> list[Update]:
    """Updates that touch each tuple."""
    return [Update(UpdateOp.TOUCH, item) for item in tuples]


def _outcome(result: Decision | EngineError) -> Outcome:
    if isinstance(result, EngineError):
        return Outcome("error", frozenset({result.code}))
    return Outcome(result.verdict.value, result.missing)


class EngineTenant:
    """A store asked through the engine."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name

    async def put_schema(self, text: str) -> str:
        return (await self.engine.write_schema(self.name, text)).zookie

    async def write(self, updates: Sequence[Update]) -> str:
        return (await self.engine.write(self.name, WriteRequest(updates))).zookie

    async def check(self, check: Check, zookie: str) -> Outcome:
        try:
            answer = await self.engine.check(self.name, check, AtExactSnapshot(zookie))
        except EngineError as error:
            return _outcome(error)
        assert answer.zookie == zookie
        return _outcome(answer.decision)

    async def batch(self, checks: Sequence[Check], zookie: str) -> list[Outcome]:
        answer = await self.engine.check_batch(self.name, checks, AtExactSnapshot(zookie))
        return [_outcome(result) for result in answer.results]


class HttpTenant:
    """A store asked through the HTTP API; `engine` is the one behind the server."""

    def __init__(self, engine: Engine, name: str, client: httpx.AsyncClient) -> None:
        self.engine = engine
        self.name = name
        self._client = client

    async def put_schema(self, text: str) -> str:
        told = await self._call("PUT", "schema", {"schema": text, "language": "zed"})
        return str(told["zookie"])

    async def write(self, updates: Sequence[Update]) -> str:
        sent = [{"op": item.op.value, "tuple": wire_tuple(item.tuple)} for item in updates]
        return str((await self._call("POST", "write", {"updates": sent}))["zookie"])

    async def check(self, check: Check, zookie: str) -> Outcome:
        body = {**wire_check(check), "consistency": {"at_exact_snapshot": zookie}}
        response = await self._client.post(f"/v1/stores/{self.name}/check", json=body)
        told = response.json()
        if response.is_success:
            assert told["zookie"] == zookie
            assert told["allowed"] == (told["decision"] == "allowed")
            return _told(told)
        assert 400 <= response.status_code < 500, told
        return Outcome("error", frozenset({told["code"]}))

    async def batch(self, checks: Sequence[Check], zookie: str) -> list[Outcome]:
        body = {
            "checks": [wire_check(check) for check in checks],
            "consistency": {"at_exact_snapshot": zookie},
        }
        told = await self._call("POST", "check/batch", body)
        assert told["zookie"] == zookie
        return [_told(result) for result in told["results"]]

    async def _call(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"/v1/stores/{self.name}/{path}"
        response = await self._client.request(method, url, json=body)
        assert response.is_success, response.text
        told: dict[str, Any] = response.json()
        return told


def _told(result: dict[str, Any]) -> Outcome:
    if "error" in result:
        return Outcome("error", frozenset({result["error"]["code"]}))
    return Outcome(result["decision"], frozenset(result["missing_context"]))


def wire_tuple(item: RelationTuple) -> str | dict[str, Any]:
    """A tuple as a client would send it: the string form, or the object form where it must be."""
    ids = (item.object.id, item.subject.id)
    if not any(bracket in text for text in ids for bracket in "[]"):
        return str(item)
    assert not item.caveat
    assert item.expires_at is None
    return {"object": str(item.object), "relation": item.relation, "subject": str(item.subject)}


def wire_check(check: Check) -> dict[str, Any]:
    """A check as JSON."""
    return {
        "object": str(check.object),
        "relation": check.relation,
        "subject": str(check.subject),
        "context": dict(check.context),
        "contextual_tuples": [wire_tuple(item) for item in check.contextual_tuples],
    }


class System:
    """One way to ask; `tenant` makes a new store."""

    def __init__(self, engine: Engine, client: httpx.AsyncClient | None = None) -> None:
        self.engine = engine
        self._client = client

    async def tenant(self) -> Tenant:
        """A store of its own, without a schema."""
        name = f"conformance-{next(_numbers)}"
        await self.engine.create_store(name)
        if self._client is None:
            return EngineTenant(self.engine, name)
        return HttpTenant(self.engine, name, self._client)
