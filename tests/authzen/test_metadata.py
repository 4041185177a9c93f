"""Discovery: the documents at each place, made of the configured base URL and nothing else."""

from __future__ import annotations

import pytest

from api.settings import SettingsError, load_settings
from tests.api.serving import bearer, key, serving

WELL_KNOWN = "/.well-known/authzen-configuration"
BASE = "https://pdp.example.com"
ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.mark.parametrize(
    ("path", "point", "calls"),
    [
        (WELL_KNOWN, "", "/v1/stores/default"),
        (f"{WELL_KNOWN}/acme", "/acme", "/v1/stores/acme"),
        (f"{WELL_KNOWN}/v1/stores/acme", "/v1/stores/acme", "/v1/stores/acme"),
        (f"/v1/stores/acme{WELL_KNOWN}", "/v1/stores/acme", "/v1/stores/acme"),
        (f"{WELL_KNOWN}/{ULID}", f"/{ULID}", f"/stores/{ULID}"),
        (f"{WELL_KNOWN}/stores/{ULID}", f"/stores/{ULID}", f"/stores/{ULID}"),
        (f"/stores/{ULID}{WELL_KNOWN}", f"/stores/{ULID}", f"/stores/{ULID}"),
    ],
)
async def test_the_document_of_each_place(path: str, point: str, calls: str) -> None:
    async with serving(authzen_base_url=f"{BASE}/") as served:
        response = await served.http.get(
            path, headers={"host": "evil.example", "x-request-id": "7"}
        )
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"] == "7"
        told = response.json()
        assert told.pop("policy_decision_point") == BASE + point
        capabilities = told.pop("capabilities")
        assert all(each.startswith("urn:ietf:params:authzen:capability:") for each in capabilities)
        assert told == {
            "access_evaluation_endpoint": f"{BASE}{calls}/access/v1/evaluation",
            "access_evaluations_endpoint": f"{BASE}{calls}/access/v1/evaluations",
            "search_subject_endpoint": f"{BASE}{calls}/access/v1/search/subject",
            "search_resource_endpoint": f"{BASE}{calls}/access/v1/search/resource",
            "search_action_endpoint": f"{BASE}{calls}/access/v1/search/action",
        }
        assert "evil" not in response.text


async def test_without_a_base_there_is_no_document() -> None:
    async with serving() as served:
        response = await served.http.get(WELL_KNOWN, headers={"host": "evil.example"})
        assert response.status_code == 404
        assert "STONETOWN_AUTHZEN_BASE_URL" in response.json()["message"]


async def test_the_endpoints_of_the_document_answer() -> None:
    asked = {
        "subject": {"type": "user", "id": "ann"},
        "action": {"name": "view"},
        "resource": {"type": "document", "id": "readme"},
    }
    async with serving(authzen_base_url=BASE) as served:
        told = (await served.http.get(WELL_KNOWN)).json()
        for name, url in told.items():
            if name.endswith("_endpoint"):
                path = url.removeprefix(BASE)
                assert (await served.http.post(path, json=asked)).status_code == 200, name


@pytest.mark.parametrize("path", [f"{WELL_KNOWN}/No Store", f"{WELL_KNOWN}/a/b", f"{WELL_KNOWN}/"])
async def test_what_names_no_store(path: str) -> None:
    async with serving(authzen_base_url=BASE) as served:
        response = await served.http.get(path)
        assert response.status_code == (200 if path.endswith("/") else 404)


async def test_a_key_is_needed_where_there_are_keys() -> None:
    async with serving(authzen_base_url=BASE, api_keys=key("app", "app", "::check")) as served:
        assert (await served.http.get(WELL_KNOWN)).status_code == 401
        assert (await served.http.get(WELL_KNOWN, headers=bearer("app"))).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "pdp.example.com",
        "http://pdp.example.com",
        "https://",
        "https://u:p@pdp.example.com",
        "https://pdp.example.com?x=1",
        "https://pdp.example.com/#x",
        "ftp://pdp.example.com",
        "https://pdp.example.com/\n",
    ],
)
def test_a_base_that_is_none_stops_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="STONETOWN_AUTHZEN_BASE_URL"):
        load_settings(authzen_base_url=value)


@pytest.mark.parametrize("value", [f"{BASE}/authz/", "http://localhost:8080", "http://[::1]:1"])
def test_a_base_may_have_a_path_and_be_local(value: str) -> None:
    assert load_settings(authzen_base_url=value).authzen_base_url == value.rstrip("/")
