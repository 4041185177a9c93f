"""Stores over OpenFGA's API: created, listed in pages, found, renamed and deleted."""

from __future__ import annotations

import pytest

from api.fga_ids import ID, new_id, store_name
from tests.api.serving import Served, bearer, key, serving

NOWHERE = "01JD0000000000000000000000"


async def created(served: Served, name: str = "acme") -> str:
    response = await served.http.post("/stores", json={"name": name})
    assert response.status_code == 201, response.text
    told = response.json()
    assert set(told) == {"id", "name", "created_at", "updated_at"}
    assert told["name"] == name
    assert ID.fullmatch(told["id"])
    return str(told["id"])


async def test_a_store_is_told_as_it_was_created(served: Served) -> None:
    store = await created(served)
    response = await served.http.get(f"/stores/{store}")
    assert response.status_code == 200
    told = response.json()
    assert told["id"] == store
    assert told["deleted_at"] is None
    assert told["created_at"].endswith("Z")


async def test_the_engine_knows_it_by_its_id(served: Served) -> None:
    store = await created(served, "Acme & Co.")
    record = await served.engine.get_store(store_name(store))
    assert record.title == "Acme & Co."


async def test_lists_have_pages_and_no_stores_but_their_own(served: Served) -> None:
    made = [await created(served, f"store {index}") for index in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        query = {"page_size": "2", "continuation_token": token}
        page = (await served.http.get("/stores", params=query)).json()
        seen += [store["id"] for store in page["stores"]]
        token = page["continuation_token"]
        if not token:
            break
    assert seen == made


async def test_lists_are_filtered_by_the_exact_name(served: Served) -> None:
    await created(served, "one")
    wanted = [await created(served, "two"), await created(served, "two")]
    page = (await served.http.get("/stores", params={"name": "two"})).json()
    assert [store["id"] for store in page["stores"]] == wanted
    assert page["continuation_token"] == ""


async def test_a_store_is_renamed(served: Served) -> None:
    store = await created(served)
    response = await served.http.patch(f"/stores/{store}", json={"name": "other"})
    assert response.status_code == 200
    told = (await served.http.get(f"/stores/{store}")).json()
    assert told["name"] == "other"
    assert told["updated_at"] > told["created_at"]
    response = await served.http.patch(f"/stores/{NOWHERE}", json={"name": "other"})
    assert response.status_code == 404


async def test_deleting_is_idempotent_and_final(served: Served) -> None:
    store = await created(served)
    for _ in range(2):
        response = await served.http.delete(f"/stores/{store}")
        assert response.status_code == 204
        assert response.content == b""
    response = await served.http.get(f"/stores/{store}")
    assert response.status_code == 404
    assert response.json() == {"code": "store_id_not_found", "message": "Store ID not found"}
    assert response.content.endswith(b"\n")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/stores", {"name": "a"}, 400, "validation_error"),
        ("POST", "/stores", {"name": "a\u2028b/c"}, 400, "validation_error"),
        ("POST", "/stores", {}, 400, "validation_error"),
        ("POST", "/stores", {"name": 3}, 400, "validation_error"),
        ("GET", "/stores?page_size=0", None, 400, "page_size_invalid"),
        ("GET", "/stores?page_size=101", None, 400, "page_size_invalid"),
        ("GET", "/stores?page_size=x", None, 400, "validation_error"),
        ("GET", "/stores?continuation_token=bm9uZQ", None, 400, "invalid_continuation_token"),
        ("GET", "/stores?continuation_token=***", None, 400, "validation_error"),
        ("GET", f"/stores/{NOWHERE}", None, 404, "store_id_not_found"),
        ("GET", "/stores/default", None, 400, "validation_error"),
        ("GET", f"/stores/{NOWHERE.lower()}", None, 400, "validation_error"),
        ("PUT", f"/stores/{NOWHERE}", {}, 404, "unimplemented"),
        ("GET", f"/stores/{NOWHERE}/nothing", None, 404, "undefined_endpoint"),
        ("GET", "/stores/", None, 404, "undefined_endpoint"),
        ("GET", f"/stores/{NOWHERE}/", None, 404, "undefined_endpoint"),
    ],
)
async def test_refusals(
    served: Served, method: str, path: str, body: object, status: int, code: str
) -> None:
    response = await served.http.request(method, path, json=body)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"code", "message"}
    assert response.json()["code"] == code
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]


async def test_malformed_json_is_told(served: Served) -> None:
    headers = {"content-type": "application/json"}
    for body in (b"{", b'{"name":NaN}', b'{"name":"a","name":"b"}', b"[]", b"\xff"):
        response = await served.http.post("/stores", content=body, headers=headers)
        assert response.status_code == 400
        assert response.json()["code"] == "validation_error"


async def test_unknown_fields_are_ignored(served: Served) -> None:
    response = await served.http.post("/stores", json={"name": "acme", "other": [1]})
    assert response.status_code == 201


async def test_keys_are_bearer_tokens() -> None:
    entries = [key("all", "secret"), key("one", "other", f":{store_name(NOWHERE)}")]
    async with serving(api_keys=",".join(entries)) as served:
        for headers, status, code in (
            ({}, 401, "bearer_token_missing"),
            ({"authorization": "Basic eA=="}, 401, "bearer_token_missing"),
            (bearer("wrong"), 401, "unauthenticated"),
            (bearer("other"), 403, "forbidden"),
        ):
            response = await served.http.post("/stores", json={"name": "acme"}, headers=headers)
            assert (response.status_code, response.json()["code"]) == (status, code)
        response = await served.http.post(
            "/stores", json={"name": "acme"}, headers=bearer("secret")
        )
        assert response.status_code == 201
        store = response.json()["id"]
        for secret, seen in (("secret", [store]), ("other", [])):
            page = (await served.http.get("/stores", headers=bearer(secret))).json()
            assert [item["id"] for item in page["stores"]] == seen
        response = await served.http.get(f"/stores/{store}", headers=bearer("other"))
        assert response.status_code == 403


def test_ids_rise() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(set(made))
    assert all(ID.fullmatch(one) and one[0] in "01234567" for one in made)
