"""Import and export over HTTP: streamed, resumable, and honest about what was done."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.members import Problems
from api.native.decode import decode_tuple
from api.native.hot import plain_tuple
from engine.jsontext import parse_json
from tests.api.serving import NDJSON, STORE, PausingStorage, Served, serving


async def lines(served: Served, query: str = "") -> list[Any]:
    response = await served.http.get(f"{STORE}/export{query}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


async def import_(served: Served, body: bytes, query: str = "") -> Any:
    return await served.http.post(f"{STORE}/import{query}", content=body, headers=NDJSON)


def line(n: int, relation: str = "viewer") -> bytes:
    return b'"document:%05d#%s@user:ann"\n' % (n, relation.encode())


def _object(object_: str, subject: str) -> str:
    return json.dumps({"object": object_, "relation": "viewer", "subject": subject})


async def test_an_import_takes_both_forms_and_tells_how_many(served: Served) -> None:
    body = line(1) + b'\n{"object":"document:2","relation":"viewer","subject":"user:ann"}'
    response = await import_(served, body)
    assert (response.status_code, response.json()["imported"]) == (200, 2)
    *tuples, last = await lines(served)
    assert [item["object"] for item in tuples] == ["document:00001", "document:2"]
    assert last == {"complete": True, "exported": 2, "zookie": response.json()["zookie"]}


async def test_an_import_of_nothing_has_a_zookie(served: Served) -> None:
    response = await import_(served, b"\n\n")
    assert (response.status_code, response.json()["imported"]) == (200, 0)
    question = {"at_least_as_fresh": response.json()["zookie"]}
    assert (await served.http.get(f"{STORE}/schema", params=question)).status_code == 200


async def test_a_large_import_is_a_sequence_of_revisions() -> None:
    async with serving(limit_import_batch=100) as served:
        start = await served.write("document:start#viewer@user:ann")
        response = await import_(served, b"".join(line(n) for n in range(250)))
        assert response.json()["imported"] == 250
        events = served.engine.watch("default", after=start)
        await anext(events)
        sizes = [len((await anext(events)).changes) for _ in range(3)]
        await events.aclose()
        assert sizes == [100, 100, 50]


async def test_a_refused_line_is_named_and_what_was_done_is_told() -> None:
    async with serving(limit_import_batch=100) as served:
        body = b"".join(line(n) for n in range(250)) + b"\n" + line(251, "view")
        problem = (await import_(served, body)).json()
        assert (problem["code"], problem["line"], problem["imported"]) == ("not_writable", 252, 200)
        assert problem["field"] == "line 252.relation"
        *tuples, last = await lines(served)
        assert len(tuples) == 200
        assert last["zookie"] == problem["zookie"]


async def test_a_line_that_is_no_tuple_is_named(served: Served) -> None:
    for wrong in (b"{", b"5", b'"x"', b'{"object":"document:a"}', b"null", b'"\xff"'):
        problem = (await import_(served, line(1) + line(2) + wrong)).json()
        assert (problem["status"], problem["line"], problem["imported"]) == (400, 3, 0), wrong
        assert problem["field"].startswith("line 3"), wrong


async def test_a_tuple_twice_is_touched_twice_in_order(served: Served) -> None:
    body = (
        line(1)
        + b'"document:00001#viewer@user:ann[on_day:{\\"wanted\\":\\"friday\\"}]"\n'
        + line(2)
    )
    response = await import_(served, body)
    assert (response.status_code, response.json()["imported"]) == (200, 3)
    tuples = await lines(served)
    assert tuples[0]["caveat"] == {"name": "on_day", "context": {"wanted": "friday"}}


async def test_create_refuses_what_is_there_by_line(served: Served) -> None:
    await served.write("document:00002#viewer@user:ann")
    problem = (await import_(served, line(1) + line(2), "?op=create")).json()
    assert (problem["status"], problem["code"], problem["line"]) == (409, "tuple_exists", 2)


async def test_an_import_takes_only_ndjson_without_a_key(served: Served) -> None:
    other = await served.http.post(f"{STORE}/import", content=line(1), headers={})
    assert other.status_code == 415
    keyed = {**NDJSON, "idempotency-key": "one"}
    refused = await served.http.post(f"{STORE}/import", content=line(1), headers=keyed)
    assert (refused.status_code, refused.json()["field"]) == (400, "Idempotency-Key")


async def test_a_line_is_bounded_and_a_body_is_not() -> None:
    async with serving(max_import_line=100, max_body=100) as served:
        body = b"".join(line(n) for n in range(1000))
        assert (await import_(served, body)).json()["imported"] == 1000
        problem = (await import_(served, line(1) + b"x" * 101)).json()
        assert (problem["status"], problem["code"], problem["line"]) == (413, "body_too_large", 2)


async def test_batches_are_bounded_by_bytes_too() -> None:
    async with serving(max_import_batch=300) as served:
        start = await served.write("document:start#viewer@user:ann")
        await import_(served, b"".join(line(n) for n in range(20)))
        events = served.engine.watch("default", after=start)
        await anext(events)
        assert len((await anext(events)).changes) < 20
        await events.aclose()


async def test_an_export_can_be_imported_as_it_is(served: Served) -> None:
    await served.write(
        "document:a#viewer@user:*",
        'document:b#viewer@user:ann[on_day:{"wanted":"friday"}]',
        "document:c#viewer@user:ann[expiration:2999-01-01T00:00:00Z]",
        "document:d#viewer@group:eng#member",
    )
    body = (await served.http.get(f"{STORE}/export")).content
    async with serving() as other:
        assert (await import_(other, body)).json()["imported"] == 4
        assert (await lines(other))[:-1] == (await lines(served))[:-1]
        broken = body.replace(b'"complete":true', b'"complete":false')
        assert (await import_(other, broken)).json()["line"] == 5


async def test_an_export_filters_and_resumes_at_its_snapshot(served: Served) -> None:
    await served.write(*(f"document:{n}#viewer@user:ann" for n in range(4)))
    response = await served.http.get(f"{STORE}/export")
    zookie = response.headers["x-stonetown-zookie"]
    await served.write("document:5#viewer@user:ann")
    rest = await lines(served, f"?at_exact_snapshot={zookie}&after=document:1%23viewer@user:ann")
    assert [item["object"] for item in rest[:-1]] == ["document:2", "document:3"]
    after = json.dumps({"object": "document:2", "relation": "viewer", "subject": "user:ann"})
    response = await served.http.get(
        f"{STORE}/export", params={"after": after, "at_exact_snapshot": zookie}
    )
    assert json.loads(response.text.splitlines()[0])["object"] == "document:3"
    only = await lines(served, "?object_type=document&object_id=5&subject_relation=")
    assert only[-1]["exported"] == 1


async def test_a_wrong_export_is_refused_before_it_starts(served: Served) -> None:
    for query, field in (
        ("object_typ=document", "query.object_typ"),
        ("after=x", "query.after"),
        ("at_time=x", "query.at_time"),
        ("consistency=x", "consistency"),
        ("object_id=*", "object_id"),
        ("consistency=fully_consistent&at_time=2030-01-01T00:00:00Z", "at_time"),
    ):
        problem = (await served.http.get(f"{STORE}/export?{query}")).json()
        assert (problem["status"], problem["field"]) == (400, field), query


async def test_an_export_that_breaks_says_where_to_go_on() -> None:
    async with serving(limit_page_default=2, limit_page_maximum=2) as served:
        await served.write(*(f"document:{n}#viewer@user:ann" for n in range(6)))
        async with served.http.stream("GET", f"{STORE}/export") as response:
            seen = response.aiter_lines()
            first = json.loads(await anext(seen))
            assert first["object"] == "document:0"
            told = [json.loads(item) async for item in seen]
        assert told[-1]["complete"] is True


async def test_a_batch_that_takes_too_long_has_an_unknown_outcome() -> None:
    storage = PausingStorage()
    async with serving(storage, import_deadline=0.2, max_staleness=0.001) as served:
        storage.open.clear()
        response = await import_(served, line(1))
        storage.open.set()
        problem = response.json()
        assert (response.status_code, problem["outcome"]) == (504, "unknown")
        assert problem["imported"] == 0


async def test_an_export_in_a_body_refuses_what_is_wrong(served: Served) -> None:
    for body, code, field in (
        ([], "wrong_type", "body"),
        ({"filtr": {}}, "unknown_field", "filtr"),
        ({"filter": {"object_type": 7}}, "wrong_type", "filter.object_type"),
        ({"after": "document"}, "invalid_tuple", "after"),
        ({"consistency": "soon"}, "invalid_request", "consistency"),
        ({"consistency": {"at_exact_snapshot": "x"}}, "invalid_zookie", "consistency"),
    ):
        response = await served.post("/export", body)
        told = response.json()
        assert (response.status_code, told["code"], told["field"]) == (400, code, field), told
    assert (await served.http.post(f"{STORE}/export")).status_code == 415


async def test_a_refused_batch_is_told_before_a_wrong_line_after_it() -> None:
    """The batch is written while the lines after it are read."""
    wrong = b'"document:4#owns@user:ann"\n'
    async with serving(limit_import_batch=2) as served:
        body = line(1) + line(2) + line(3) + wrong + b"no tuple\n"
        problem = (await import_(served, body)).json()
        assert (problem["code"], problem["line"], problem["imported"]) == ("unknown_relation", 4, 2)
        body = line(3) + line(4) + line(5) + b"no tuple\n"
        problem = (await import_(served, body)).json()
        assert (problem["line"], problem["imported"]) == (4, 2)
        assert len(await lines(served)) == 4 + 1


@pytest.mark.parametrize(
    "text",
    [
        '{"object":"document:1","relation":"viewer","subject":"user:ann"}',
        '{ "subject" : "group:a#member" , "relation":"viewer","object":"document:1"} ',
        '{"object":"document:1","relation":"viewer","subject":"user:*"}',
        '{"object":"document:\u00e9","relation":"viewer","subject":"user:\u65e5"}',
        '{"object":"document:1","object":"document:2","relation":"viewer","subject":"user:a"}',
        '{"object":"document:1","relation":"viewer","subject":"user:a","caveat":null}',
        '{"object":"document:1","relation":"viewer"}',
        '{"object":"document:1","relation":"vie wer","subject":"user:a"}',
        '{"object":"document:*","relation":"viewer","subject":"user:a"}',
        '{"object":"document:\\u0031","relation":"viewer","subject":"user:a"}',
        '{"object":"document:\u200b","relation":"viewer","subject":"user:a"}',
        '{"object":"document:1","relation":"viewer","subject":"user:a"} x',
        '{"object":"document:1","relation":"viewer","subject":"user:a","expires_at":"2999-01-01"}',
        _object(f"{'t' * 255}:1", "user:a"),
        _object(f"d:{'x' * 1024}", "user:" + "\u00e9" * 512),
        _object(f"{'t' * 254}:{'x' * 1024}", f"{'u' * 254}:{'y' * 1000}"),
        '"document:1#viewer@user:a"',
        "{}",
    ],
)
def test_the_short_way_of_a_line_is_that_of_any_line(text: str) -> None:
    problems = Problems()
    value = problems.attempt(parse_json, text.encode(), "line 1")
    expected = None if problems.found else decode_tuple(value, "line 1", problems)
    short = plain_tuple(text.encode())
    assert short in (expected, None)
    if text.startswith(('{"object":"document:1","relation":"viewer","subject"', '{ "subject"')):
        plain = (
            value is not None
            and expected is not None
            and not {"caveat", "expires_at"} & value.keys()
        )
        assert (short is not None) is plain
