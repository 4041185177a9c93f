"""Known bypasses told in prose, about the HTTP API: keys, tokens, tenants, headers, characters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from engine.engine import Engine
from engine.errors import Unavailable
from engine.store.postgres import PostgresStorage
from tests.conformance.conftest import served
from tests.conformance.systems import System
from tests.conformance.test_prose_answers import ask, store_with
from tests.conformance.test_prose_storage import VIEWERS

KEY = "kept-secret-5f2a9c71e04b4d6b8f3e"
MARKER = "marker-password-71c2"
OPEN_WITHOUT_KEY = {"/healthz", "/readyz"}


@pytest.fixture
async def keyed(memory_engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, of a server that wants one."""
    keys = f"tester:{hashlib.sha256(KEY.encode()).hexdigest()}"
    async with (
        served(memory_engine, api_keys=keys) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        yield client


def with_key() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEY}"}


async def every_route(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every method and path that the OpenAPI document tells of, and the pages beside it."""
    document = (await client.get("/openapi.json", headers=with_key())).json()
    told = [
        (method.upper(), path.format(store="default", name="default", s="default"))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    assert len(told) > 10
    pages = ["/docs", "/redoc", "/openapi.json", "/metrics", "/", "/v1/nothing"]
    return [*told, *(("GET", page) for page in pages)]


async def test_no_route_answers_without_a_key_f01(keyed: httpx.AsyncClient) -> None:
    for method, path in await every_route(keyed):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
            response = await keyed.request(method, path, headers=headers, json={})
            if path in OPEN_WITHOUT_KEY:
                assert response.status_code in {200, 503}
            else:
                assert response.status_code == 401, (method, path)


async def test_no_answer_shows_the_key_f02(keyed: httpx.AsyncClient) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    for method, path in await every_route(keyed):
        for headers in ({}, with_key()):
            if headers and "watch" in path:
                continue
            response = await keyed.request(method, path, headers=headers, json={"bad": 1})
            told = response.text + repr(response.headers)
            assert KEY not in told
            assert digest not in told


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{MARKER}@127.0.0.1:1/none",
        f"postgresql://user:{MARKER}@[half/none",
        f"not a dsn {MARKER}",
    ],
)
async def test_a_bad_database_string_is_not_told_f03(
    dsn: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = await PostgresStorage.connect(dsn)
    try:
        with pytest.raises((Unavailable, ValueError)) as caught:
            await storage.ping()
    finally:
        await storage.close()
    assert MARKER not in f"{caught.value!r} {vars(caught.value)}"
    assert MARKER not in caplog.text
    assert MARKER not in "".join(capfd.readouterr())


TOKENS: list[Any] = [
    "",
    "x",
    "|",
    "a|b|c",
    "=" * 40,
    "AAAA",
    "A" * 43,
    "A" * 100_000,
    "é",
    "\x00",
    "../../etc",
    "%00",
    "null",
    0,
    None,
    [],
    {},
    True,
]


async def test_no_damaged_token_is_more_than_a_client_error_f08(
    http_client: httpx.AsyncClient, postgres_engine: Engine
) -> None:
    tenant, zookie = await store_with(
        System(postgres_engine, http_client), VIEWERS, *(f"doc:{n}#viewer@user:u" for n in range(3))
    )
    url = f"/v1/stores/{tenant.name}"
    page = {"filter": {"object_type": "doc"}, "limit": 1}
    cursor = (await http_client.post(f"{url}/read", json=page)).json()["cursor"]
    flipped = [
        t[:i] + ("A" if t[i] != "A" else "B") + t[i + 1 :]
        for t in (cursor, zookie)
        for i in range(0, len(t), 7)
    ]
    cut = [token[:size] for token in (cursor, zookie) for size in (1, 8, len(token) - 1)]
    checks = {"object": "doc:1", "relation": "viewer", "subject": "user:u"}
    for token in [*TOKENS, *flipped, *cut, zookie + "A", cursor + "A", cursor, zookie]:
        if token != cursor and token is not None:
            response = await http_client.post(f"{url}/read", json={**page, "cursor": token})
            assert 400 <= response.status_code < 500, (token, response.text)
        for kind in ("at_least_as_fresh", "at_exact_snapshot", "at_time"):
            if token == zookie:
                continue
            response = await http_client.post(
                f"{url}/check", json={**checks, "consistency": {kind: token}}
            )
            assert 400 <= response.status_code < 500, (kind, token, response.text)
        if isinstance(token, str) and token.isascii() and token.isprintable() and token != zookie:
            response = await http_client.get(f"{url}/watch", params={"after": token[:2000]})
            assert 400 <= response.status_code < 500, (token, response.text)


async def test_no_page_of_any_list_holds_another_tenants_rows_f09(
    http_client: httpx.AsyncClient, postgres_engine: Engine
) -> None:
    system = System(postgres_engine, http_client)
    tenants = []
    for number in range(2):
        tuples = [f"doc:{index}#viewer@user:of-{number}" for index in range(5)]
        tenants.append(await store_with(system, VIEWERS, *tuples))
    for number, (tenant, _) in enumerate(tenants):
        for filter_ in (
            {"object_type": "doc"},
            {"subject_type": "user"},
            {"relation": "viewer"},
            {"object_type": "doc", "subject_type": "user", "subject_relation": ""},
        ):
            found, cursor = [], None
            while True:
                body = {"filter": filter_, "limit": 1, "cursor": cursor}
                told = (await http_client.post(f"/v1/stores/{tenant.name}/read", json=body)).json()
                found += [item["subject"] for item in told["tuples"]]
                cursor = told["cursor"]
                if cursor is None:
                    break
            assert found == [f"user:of-{number}"] * 5
        exported = await http_client.get(f"/v1/stores/{tenant.name}/export")
        lines = [json.loads(line) for line in exported.text.splitlines()]
        subjects = {line["subject"] for line in lines if "subject" in line}
        assert subjects == {f"user:of-{number}"}
    stolen = {"filter": {"object_type": "doc"}, "limit": 1}
    (mine, my_zookie), (theirs, _) = tenants
    cursor = (await http_client.post(f"/v1/stores/{mine.name}/read", json=stolen)).json()["cursor"]
    for body in (
        {**stolen, "cursor": cursor},
        {**stolen, "consistency": {"at_exact_snapshot": my_zookie}},
    ):
        response = await http_client.post(f"/v1/stores/{theirs.name}/read", json=body)
        assert 400 <= response.status_code < 500


async def test_no_answer_echoes_a_host_header_f11(
    keyed: httpx.AsyncClient,
) -> None:
    for method, path in await every_route(keyed):
        if "watch" in path:
            continue
        headers = {**with_key(), "Host": "evil.test", "X-Forwarded-Host": "evil.test"}
        response = await keyed.request(method, path, headers=headers, json={})
        assert "evil.test" not in response.text + repr(response.headers), path


UNPRINTABLE = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    "\u2028",
    "\u2029",
    "\u200b",
    "\u202e",
    "\u2066",
    "\ufeff",
    "\ue000",
    "\U000e0001",
    "\u0378",
]


async def test_no_control_or_bidi_character_reaches_an_id_f13(
    http_client: httpx.AsyncClient, postgres_engine: Engine
) -> None:
    tenant, _ = await store_with(System(postgres_engine, http_client), VIEWERS)
    url = f"/v1/stores/{tenant.name}"
    for char in UNPRINTABLE:
        for place in ("object", "relation", "subject"):
            item = {"object": "doc:1", "relation": "viewer", "subject": "user:u"}
            item[place] += char
            body = {"updates": [{"op": "touch", "tuple": item}]}
            response = await http_client.post(f"{url}/write", json=body)
            assert response.status_code == 400, (char, place, response.text)
            response = await http_client.post(f"{url}/check", json=item)
            assert response.status_code == 400, (char, place, response.text)
    for raw in (
        b'{"object":"doc:\\ud800","relation":"viewer","subject":"user:u"}',
        b'{"object":"doc:\xff","relation":"viewer","subject":"user:u"}',
    ):
        headers = {"Content-Type": "application/json"}
        response = await http_client.post(f"{url}/check", content=raw, headers=headers)
        assert response.status_code == 400, response.text


async def test_letters_that_look_alike_are_different_f06(system: System) -> None:
    alike = ["é", "e\u0301", "I", "i", "ı", "İ", "a", "ａ", "A", "ß", "ss", "K", "\u212a"]
    checks = [ask(f"doc:{on}#viewer@user:{who}") for on in alike for who in alike]
    for char in alike:
        tenant, zookie = await store_with(system, VIEWERS, f"doc:{char}#viewer@user:{char}")
        outcomes = await tenant.batch(checks, zookie)
        allowed = [outcome.verdict == "allowed" for outcome in outcomes]
        assert allowed == [on == char == who for on in alike for who in alike]
