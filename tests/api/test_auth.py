"""Keys: every route needs one, each has its rights and stores, and no tenant sees another."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from api.auth import Keyring, Principal, Right, bearer, new_key, parse_keys
from api.authzen.operations import OPERATIONS as AUTHZEN
from api.native.operations import OPERATIONS
from tests.api import serving
from tests.api.serving import NDJSON, Served

ADMIN = "admin-secret-marker"
OPEN = {"/healthz", "/readyz"}


def keys(**scopes: str) -> str:
    entries = [serving.key(name, f"{name}-secret", scope) for name, scope in scopes.items()]
    return ",".join([serving.key("root", ADMIN), *entries])


async def routes(served: Served) -> list[tuple[str, str]]:
    """Every route there is: the documented ones, and those that document them."""
    document = (await served.http.get("/openapi.json", headers=serving.bearer(ADMIN))).json()
    found = [
        (method.upper(), path.replace("{store}", "default"))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    assert len(found) == len(OPERATIONS) + len(AUTHZEN) + 3
    return [*found, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/nope"), ("GET", "/v1/x")]


def authorizations() -> list[dict[str, str]]:
    return [
        {},
        serving.bearer("."),
        serving.bearer("wrong"),
        serving.bearer(ADMIN + "x"),
        {"authorization": ADMIN},
        {"authorization": f"Basic {ADMIN}"},
    ]


async def test_no_route_answers_without_a_key() -> None:
    async with serving.serving(api_keys=keys()) as served:
        for method, path in await routes(served):
            for headers in authorizations():
                response = await served.http.request(method, path, headers=headers)
                assert ADMIN not in response.text
                if path in OPEN:
                    assert response.status_code == 200
                    continue
                assert (response.status_code, response.json()["code"]) == (401, "unauthorized")
                assert response.headers["www-authenticate"].startswith("Bearer")


async def test_every_route_answers_with_a_key() -> None:
    async with serving.serving(api_keys=keys(), watch_heartbeat=0.05) as served:
        for method, path in await routes(served):
            request = served.http.stream(method, path, headers=serving.bearer(ADMIN))
            async with request as response:
                assert response.status_code != 401, path
                assert response.status_code < 500, path


async def test_a_key_that_is_not_ascii_is_refused() -> None:
    async with serving.serving(api_keys=keys()) as served:
        request = b"GET /v1/stores HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xc3\xa9\r\n\r\n"
        assert (await served.exchange(request)).startswith(b"HTTP/1.1 401 ")
        twice = request.replace(b"Host: x\r\n", b"Host: x\r\nAuthorization: Bearer x\r\n")
        assert (await served.exchange(twice)).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("right", Right)
async def test_a_right_opens_its_calls_and_no_others(right: Right) -> None:
    async with serving.serving(api_keys=keys(app=f"::{right}"), watch_heartbeat=0.05) as served:
        headers = {**serving.bearer("app-secret"), **NDJSON}
        for operation in (*OPERATIONS, *AUTHZEN):
            path = operation.path.replace("{store}", "default")
            request = served.http.stream(operation.method, path, headers=headers)
            async with request as response:
                await response.aread() if operation.name != "watch" else None
                forbidden = response.status_code == 403
            assert forbidden == (operation.right is not right), operation.name


async def test_a_key_for_some_stores_sees_those() -> None:
    async with serving.serving(api_keys=keys(app=":acme+other")) as served:
        headers = serving.bearer("app-secret")
        for name, status in (("acme", 201), ("default", 403), ("third", 403)):
            made = await served.http.post("/v1/stores", json={"name": name}, headers=headers)
            assert made.status_code == status
        listed = (await served.http.get("/v1/stores", headers=headers)).json()
        assert [store["name"] for store in listed["stores"]] == ["acme"]
        for name, status in (("acme", 200), ("default", 403), ("absent", 403), ("other", 404)):
            response = await served.http.get(f"/v1/stores/{name}", headers=headers)
            assert response.status_code == status, name


async def fill(http: httpx.AsyncClient, store: str) -> None:
    headers = serving.bearer(f"{store}-secret")
    base = f"/v1/stores/{store}"
    await http.put(f"{base}/schema", json={"schema": serving.SCHEMA}, headers=headers)
    updates = [{"op": "touch", "tuple": f"document:{n}#viewer@user:of-{store}"} for n in range(4)]
    body = {"updates": updates, "metadata": {"of": store}}
    response = await http.post(f"{base}/write", json=body, headers=headers)
    assert response.status_code == 200


async def test_twin_tenants_with_the_same_ids_never_meet() -> None:
    async with serving.serving(api_keys=keys(one=":one", two=":two")) as served:
        http = served.http
        for store in ("one", "two"):
            await served.engine.create_store(store)
            await fill(http, store)
        other = {"one": "two", "two": "one"}
        for store in ("one", "two"):
            headers = serving.bearer(f"{store}-secret")
            base = f"/v1/stores/{store}"
            seen = await _everything(http, base, headers)
            assert f"of-{store}" in seen
            assert f"of-{other[store]}" not in seen
            question = {"object": "document:1", "relation": "view"}
            for subject, verdict in ((store, True), (other[store], False)):
                body = {**question, "subject": f"user:of-{subject}"}
                answer = await http.post(f"{base}/check", json=body, headers=headers)
                assert answer.json()["allowed"] is verdict
            foreign = await http.get(f"/v1/stores/{other[store]}/export", headers=headers)
            assert foreign.status_code == 403


async def _everything(http: httpx.AsyncClient, base: str, headers: dict[str, str]) -> str:
    """All that the list calls show, at the smallest page."""
    shown = (await http.get(f"{base}/export", headers=headers)).text
    body: dict[str, Any] = {"filter": {"object_type": "document"}, "limit": 1}
    while True:
        page = (await http.post(f"{base}/read", json=body, headers=headers)).json()
        shown += json.dumps(page["tuples"])
        body["cursor"] = page["cursor"]
        if page["cursor"] is None:
            break
    for n in range(4):
        question = {"object": f"document:{n}", "relation": "view"}
        shown += (await http.post(f"{base}/expand", json=question, headers=headers)).text
    return shown


async def test_a_cursor_of_another_tenant_is_refused() -> None:
    async with serving.serving(api_keys=keys(one=":one", two=":two")) as served:
        for store in ("one", "two"):
            await served.engine.create_store(store)
            await fill(served.http, store)
        body: dict[str, Any] = {"filter": {"object_type": "document"}, "limit": 1}
        page = await served.http.post(
            "/v1/stores/one/read", json=body, headers=serving.bearer("one-secret")
        )
        body["cursor"] = page.json()["cursor"]
        stolen = await served.http.post(
            "/v1/stores/two/read", json=body, headers=serving.bearer("two-secret")
        )
        assert (stolen.status_code, stolen.json()["code"]) == (400, "invalid_cursor")


async def test_no_open_page_shows_a_key() -> None:
    async with serving.serving(api_keys=keys()) as served:
        for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics"):
            response = await served.http.get(path)
            assert "secret" not in response.text + str(response.headers)
            assert not re.search(r"[0-9a-f]{64}", response.text)


def test_the_keys_name_is_the_actor() -> None:
    ring = parse_keys(serving.key("app", "s", ":acme:read+check"))
    found = ring.find(b"s")
    assert found == Principal("app", frozenset({"acme"}), frozenset({Right.READ, Right.CHECK}))
    assert ring.find(b"t") is None
    assert ring.find(b"") is None


def test_several_keys_make_rotation_possible() -> None:
    ring = parse_keys(f"{serving.key('old', 'a')}, {serving.key('new', 'b')},")
    names = [principal.name for secret in (b"a", b"b") if (principal := ring.find(secret))]
    assert names == ["old", "new"]
    assert not Keyring()


def test_bearer_reads_one_scheme() -> None:
    assert bearer(b"Bearer abc") == b"abc"
    assert bearer(b"bearer  abc ") == b"abc"
    assert bearer(b"Basic abc") == bearer(b"abc") == bearer(b"") == b""


def test_a_new_key_is_found_by_its_secret() -> None:
    secret, entry = new_key("app", ["acme"], ["check", "read"])
    assert secret not in entry
    assert len(secret) >= 43
    found = parse_keys(entry).find(secret.encode())
    assert found == Principal("app", frozenset({"acme"}), frozenset({Right.READ, Right.CHECK}))
    assert new_key("app")[0] != new_key("app")[0]
    for name, stores, rights in (
        ("a:b", [], []),
        ("a", ["B"], []),
        ("a", [], ["sudo"]),
        ("", [], []),
    ):
        with pytest.raises(ValueError, match="the new key"):
            new_key(name, stores, rights)
