"""Wrong input: a 4xx with a stable code, the field, and what would be right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.serving import STORE, Served, serving

CHECK = {"object": "document:a", "relation": "view", "subject": "user:ann"}
TUPLE = {"object": "document:a", "relation": "viewer", "subject": "user:ann"}


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """One server for all of these: what is refused leaves nothing behind."""
    async with serving() as made:
        yield made


def write(item: Any) -> dict[str, Any]:
    return {"updates": [{"op": "touch", "tuple": item}]}


WRONG: list[tuple[str, Any, str, str]] = [
    ("/check", [], "wrong_type", "body"),
    ("/check", {}, "missing_field", "object"),
    ("/check", {**CHECK, "explain": "yes"}, "wrong_type", "explain"),
    ("/check", {**CHECK, "explanation": True}, "unknown_field", "explanation"),
    ("/check/batch", {"checks": [{**CHECK, "explain": True}] * 21}, "limit_exceeded", "checks"),
    ("/check", {**CHECK, "relation": True}, "wrong_type", "relation"),
    ("/check", {**CHECK, "relation": "veiw"}, "unknown_relation", "relation"),
    ("/check", {**CHECK, "object": "documnt:a"}, "unknown_type", "object"),
    ("/check", {**CHECK, "object": "document:*"}, "invalid_tuple", "object"),
    ("/check", {**CHECK, "subject": "ann"}, "invalid_tuple", "subject"),
    ("/check", {**CHECK, "context": []}, "wrong_type", "context"),
    ("/check", {**CHECK, "contextual_tuples": ["x"]}, "invalid_tuple", "contextual_tuples[0]"),
    ("/check", {**CHECK, "consistency": "newest"}, "invalid_request", "consistency"),
    (
        "/check",
        {**CHECK, "consistency": {"at_time": "now"}},
        "invalid_tuple",
        "consistency.at_time",
    ),
    ("/check", {**CHECK, "consistency": {"at_least_as_fresh": "AAAA"}}, "invalid_zookie", ""),
    ("/check/batch", {"checks": []}, "invalid_request", "checks"),
    ("/check/batch", {"checks": [CHECK, {**CHECK, "object": 7}]}, "wrong_type", "checks[1].object"),
    ("/check/batch", {"checks": [CHECK] * 1001}, "limit_exceeded", "checks"),
    ("/expand", {"object": "document:a", "relation": "nope"}, "unknown_relation", "relation"),
    ("/read", {}, "missing_field", "filter"),
    ("/read", {"filter": {}}, "empty_filter", "filter"),
    ("/read", {"filter": {"object_type": None}}, "empty_filter", "filter"),
    ("/read", {"filter": {"object_typ": "x"}}, "unknown_field", "filter.object_typ"),
    ("/read", {"filter": {"object_type": "a b"}}, "invalid_tuple", "filter.object_type"),
    ("/read", {"filter": {"object_type": "document"}, "limit": True}, "wrong_type", "limit"),
    ("/read", {"filter": {"object_type": "document"}, "limit": 1.0}, "wrong_type", "limit"),
    ("/read", {"filter": {"object_type": "document"}, "limit": 0}, "invalid_request", "limit"),
    ("/read", {"filter": {"object_type": "document"}, "limit": 1001}, "limit_exceeded", "limit"),
    ("/read", {"filter": {"object_type": "document"}, "cursor": "x"}, "invalid_cursor", "cursor"),
    ("/write", {"updates": []}, "invalid_request", "updates"),
    ("/write", {"updates": [{"op": "put", "tuple": TUPLE}]}, "invalid_request", "updates[0].op"),
    ("/write", {"updates": [{"tuple": TUPLE}]}, "missing_field", "updates[0].op"),
    ("/write", {"updates": [{"op": "touch"}]}, "missing_field", "updates[0].tuple"),
    ("/write", write(None), "missing_field", "updates[0].tuple"),
    ("/write", write(5), "wrong_type", "updates[0].tuple"),
    ("/write", write({**TUPLE, "subject": "ann"}), "invalid_tuple", "updates[0].tuple.subject"),
    ("/write", write({**TUPLE, "relation": "view"}), "not_writable", "updates[0].tuple.relation"),
    ("/write", write({**TUPLE, "relation": "x"}), "unknown_relation", "updates[0].tuple.relation"),
    (
        "/write",
        write({**TUPLE, "expires_at": "soon"}),
        "invalid_tuple",
        "updates[0].tuple.expires_at",
    ),
    (
        "/write",
        write({**TUPLE, "caveat": {"nam": "x"}}),
        "unknown_field",
        "updates[0].tuple.caveat.nam",
    ),
    (
        "/write",
        write({**TUPLE, "caveat": {"name": "nope"}}),
        "unknown_caveat",
        "updates[0].tuple.caveat",
    ),
    (
        "/write",
        write({**TUPLE, "subject": "group:eng"}),
        "subject_not_allowed",
        "updates[0].tuple.subject",
    ),
    ("/write", {"updates": [*write(TUPLE)["updates"]] * 2}, "duplicate_update", "updates[1].tuple"),
    (
        "/write",
        write(f"document:{'x' * 1025}#viewer@user:ann"),
        "invalid_tuple",
        "updates[0].tuple",
    ),
    ("/delete", {"filter": {"object_id": "*"}}, "invalid_tuple", "filter.object_id"),
    ("/delete", {"filter": {"object_type": "document"}, "limit": 1001}, "limit_exceeded", "limit"),
]


@pytest.mark.parametrize(("call", "body", "code", "field"), WRONG)
async def test_wrong_input_is_told_what_and_where(
    served: Served, call: str, body: Any, code: str, field: str
) -> None:
    response = await served.post(call, body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:stonetown:error:{code}"
    assert problem["status"] == 400
    assert problem["title"]
    if field:
        assert problem["field"] == field
    assert problem["expected"]


async def test_a_context_value_of_the_wrong_type_is_refused(served: Served) -> None:
    await served.write('document:a#viewer@user:ann[on_day:{"wanted":"friday"}]')
    problem = (await served.post("/check", {**CHECK, "context": {"day": 5}})).json()
    assert (problem["status"], problem["code"], problem["field"]) == (
        400,
        "invalid_context",
        "context.day",
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"object":"document:a","object":"document:b","relation":"view","subject":"user:ann"}',
        b'{"object":"document:a","relation":"view","subject":"user:ann","context":{"n":NaN}}',
        b'{"object":"document:a","relation":"view","subject":"user:ann","context":{"n":1e999}}',
        b'{"object":"document:a","relation":"view","subject":"user:ann","context":{"n":'
        + b"9" * 5000
        + b"}}",
        b'{"object":"\\ud800:a","relation":"view","subject":"user:ann"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"",
        b"{} {}",
        b"{'a': 1}",
    ],
)
async def test_what_is_not_strict_json_is_refused(served: Served, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = await served.http.post(f"{STORE}/check", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")
    assert response.json()["field"] == "body"


async def test_all_problems_of_a_body_come_at_once(served: Served) -> None:
    body = {
        "updates": [
            {"op": "touch", "tuple": {"object": "a", "relation": 5, "subject": "user:ann"}},
            {"op": "toch", "tuple": "document:a#viewer@user:ann"},
        ],
        "metadta": {},
    }
    problem = (await served.post("/write", body)).json()
    assert [(item["code"], item["field"]) for item in problem["errors"]] == [
        ("unknown_field", "metadta"),
        ("invalid_tuple", "updates[0].tuple.object"),
        ("wrong_type", "updates[0].tuple.relation"),
        ("invalid_request", "updates[1].op"),
    ]
    assert problem["errors"][0]["expected"] == "`metadata`"


async def test_problems_are_told_up_to_a_bound(served: Served) -> None:
    problem = (await served.post("/write", {"updates": [None] * 1000})).json()
    assert len(problem["errors"]) == 100


HOSTILE = [
    *(chr(code) for code in (0, 1, 9, 10, 13, 0x1F, 0x7F, 0x85, 0x9F)),
    "\u2028",
    "\u202e",
    "\u200b",
    "\u2066",
    "\ufeff",
    "\U000e0001",
]


@pytest.mark.parametrize("char", HOSTILE)
async def test_control_and_bidi_characters_are_refused_in_ids(served: Served, char: str) -> None:
    response = await served.post("/write", write(f"document:a{char}b#viewer@user:ann"))
    assert (response.status_code, response.json()["code"]) == (400, "invalid_tuple")
    object_form = await served.post("/write", write({**TUPLE, "subject": f"user:a{char}b"}))
    assert object_form.json()["field"] == "updates[0].tuple.subject"
    filtered = await served.post("/read", {"filter": {"object_id": f"a{char}"}})
    assert (filtered.status_code, filtered.json()["field"]) == (400, "filter.object_id")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("dry_run=maybe", "query.dry_run"),
        ("dry_run=true&dry_run=true", "query.dry_run"),
        ("dryrun=true", "query.dryrun"),
        ("dry_run", "query"),
        ("%ff=1", "query"),
    ],
)
async def test_query_strings_are_strict(served: Served, query: str, field: str) -> None:
    response = await served.http.put(f"{STORE}/schema?{query}", json={"schema": ""})
    assert (response.status_code, response.json()["field"]) == (400, field)


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
async def test_idempotency_keys_are_printable_and_short(served: Served, key: str) -> None:
    headers = {"idempotency-key": key}
    response = await served.post("/write", write(TUPLE), headers=headers)
    assert (response.status_code, response.json()["field"]) == (400, "Idempotency-Key")
