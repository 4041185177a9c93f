"""The short way of checks reads and writes what the careful one does, and refuses nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.native import hot, render
from api.native.handlers import decode_batch, decode_check, decode_write
from engine.decision import ALLOWED, DENIED, conditional
from engine.errors import BudgetExceeded, EngineError
from engine.requests import BatchAnswer, CheckAnswer, WriteRequest
from tests.api.serving import Served

OBJECT, RELATION, SUBJECT = '"object":"document:a"', '"relation":"view"', '"subject":"user:ann"'
PLAIN = f"{{{OBJECT},{RELATION},{SUBJECT}}}"


ids = st.sampled_from(
    ["a", "*", "ann@x.org", "a b", "a\u200bb", "é", "x" * 300, "x" * 1025, "", "a:b", "[x]", "\t"]
)
kinds = st.sampled_from(["document", "user", "a/b", "é", "", "T" * 70, "a b", "#"])
names = st.sampled_from(["view", "", "...", "a b", "r" * 65, "ü", "view:x"])
objects = st.builds("{}:{}".format, kinds, ids) | st.sampled_from(["document", "document:a"])
subjects = objects | st.builds("{}#{}".format, objects, names) | st.just("user:*#member")
odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 1, 1.5, [], {}, "", "a\x01", "\ud800", {"at_time": "2030-01-31T12:00:00Z"}, "x"]
)
consistencies = odd | st.sampled_from(
    [
        "minimize_latency",
        "fully_consistent",
        {"at_least_as_fresh": "z"},
        {"at_exact_snapshot": "a\x01b"},
        {"at_exact_snapshot": 1},
        {"at_least_as_fresh": "z", "at_exact_snapshot": "z"},
        {"later": "z"},
    ]
)


@st.composite
def spelled(draw: st.DrawFn, value: Any) -> str:
    """A JSON text of a value that was chosen, in one of its spellings."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        return text.replace("e", draw(st.sampled_from(["e", "e", "e", "\\u0065"])))
    space = draw(st.sampled_from(["", "", " ", "\n\t"]))
    if isinstance(value, list):
        return f"[{space}{','.join([draw(spelled(item)) for item in value])}{space}]"
    if isinstance(value, dict):
        return draw(members(list(value.items())))
    return json.dumps(value)


@st.composite
def members(draw: st.DrawFn, pairs: list[tuple[str, Any]]) -> str:
    """A JSON object with these members in any order, one of which may stand twice or be gone."""
    pairs = draw(st.permutations(pairs))
    change = draw(st.sampled_from(["", "", "", "twice", "gone", "more"])) if pairs else ""
    if change == "twice":
        pairs = [*pairs, draw(st.sampled_from(pairs))]
    elif change == "gone":
        pairs = pairs[1:]
    elif change == "more":
        pairs = [*pairs, (draw(st.sampled_from(["context", "explain", "x"])), draw(odd))]
    told = [f"{draw(spelled(name))}:{draw(spelled(item))}" for name, item in pairs]
    return "{" + ",".join(told) + "}"


@st.composite
def items(draw: st.DrawFn, *, more: bool = False) -> str:
    pairs: list[tuple[str, Any]] = [
        ("object", draw(st.just("document:a") | objects)),
        ("relation", draw(st.just("view") | names)),
        ("subject", draw(st.just("user:ann") | subjects)),
    ]
    if more and draw(st.booleans()):
        pairs.append(("consistency", draw(consistencies)))
    return draw(members(pairs))


def asked(decode: Any, text: bytes) -> Any:
    try:
        return decode(text)
    except EngineError as error:
        return error


def as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=400, deadline=None)
@given(items(more=True))
def test_a_check_is_read_alike(text: str) -> None:
    plain = hot.plain_check(as_bytes(text))
    if plain is not None:
        assert asked(decode_check, as_bytes(text)) == (*plain, None)


@settings(max_examples=300, deadline=None)
@given(st.lists(items(), max_size=3), st.none() | consistencies, st.data())
def test_a_batch_is_read_alike(checks: list[str], consistency: Any, data: st.DataObject) -> None:
    told = [f'"checks":[{",".join(checks)}]']
    if consistency is not None:
        told.append(f'"consistency":{data.draw(spelled(consistency))}')
    if data.draw(st.integers(0, 5)) == 0:
        told.append(data.draw(st.sampled_from(told)))
    text = as_bytes("{" + ",".join(told) + "}")
    plain = hot.plain_batch(text)
    if plain is not None:
        assert asked(decode_batch, text) == (*plain, None)


texts = st.builds("{}#{}@{}{}".format, objects, names, subjects, st.sampled_from(["", "[c]", "["]))
ops = st.sampled_from(["touch", "create", "delete", "touch", "ensure", "TOUCH", ""]) | odd


@st.composite
def updates(draw: st.DrawFn) -> str:
    item = draw(items()) if draw(st.booleans()) else draw(spelled(draw(texts)))
    pairs = [f'"op":{draw(spelled(draw(ops)))}', f'"tuple":{item}']
    if draw(st.integers(0, 7)) == 0:
        pairs.append(draw(st.sampled_from([*pairs, '"x":1', '"op":"touch"'])))
    return "{" + ",".join(draw(st.permutations(pairs))) + "}"


@settings(max_examples=600, deadline=None)
@given(
    st.lists(updates(), max_size=3), st.sampled_from(["", "", ',"updates":[]', ',"metadata":{}'])
)
def test_a_write_is_read_alike(told: list[str], more: str) -> None:
    text = as_bytes(f'{{"updates":[{",".join(told)}]{more}}}')
    plain = hot.plain_write(text)
    if plain is not None:
        assert asked(decode_write, text) == WriteRequest(plain)


@pytest.mark.parametrize(
    "text",
    [
        f"{{{OBJECT},{RELATION},{SUBJECT},{SUBJECT}}}",
        f"{{{OBJECT},{OBJECT},{RELATION},{SUBJECT}}}",
        f'{{{OBJECT},{RELATION},{SUBJECT},"consistency":"fully_consistent","consistency":"x"}}',
        f'{{{OBJECT},{RELATION},{SUBJECT},"consistency":null,"consistency":"fully_consistent"}}',
        f'{{{OBJECT},{RELATION},{SUBJECT},"c\\u006fntext":{{}}}}',
        f'{{{OBJECT},{RELATION},{SUBJECT},"consistency":{{"at_time":"x","at_time":"y"}}}}',
        PLAIN + PLAIN,
        PLAIN + " x",
        "\ufeff" + PLAIN,
        PLAIN.replace("ann", "a\x00n"),
        PLAIN.replace(",", ",,"),
        "[]",
        "NaN",
    ],
)
def test_what_is_unusual_is_left_to_the_careful_decoder(text: str) -> None:
    assert hot.plain_check(text.encode()) is None
    assert hot.plain_batch(f'{{"checks":[{text}]}}'.encode()) is None


def test_a_key_twice_around_a_batch_is_noticed() -> None:
    for text in (
        f'{{"checks":[{PLAIN}],"checks":[{PLAIN}]}}',
        f'{{"checks":[],"checks":[{PLAIN}]}}',
        f'{{"checks":[{PLAIN},{PLAIN}],"checks":[]}}',
    ):
        assert hot.plain_batch(text.encode()) is None


def test_what_is_ordinary_takes_the_short_way() -> None:
    """The way that the measurements are of."""
    ordinary = [
        PLAIN,
        f" {PLAIN}\n",
        PLAIN.replace("ann", "ann@example.org"),
        PLAIN.replace("user:ann", "group:eng#member"),
        PLAIN[:-1] + ',"consistency":"fully_consistent"}',
        PLAIN[:-1] + ',"consistency":{"at_least_as_fresh":"AQ"}}',
    ]
    for text in ordinary:
        assert hot.plain_check(text.encode()) is not None, text
    batch = f'{{"checks":[{PLAIN},{PLAIN}],"consistency":{{"at_exact_snapshot":"AQ"}}}}'
    assert hot.plain_batch(batch.encode()) is not None
    assert hot.plain_batch(b'{"checks":[]}') is not None
    touched = f'{{"op":"touch","tuple":{PLAIN}}}'
    deleted = '{"tuple":"document:a#viewer@group:eng#member","op":"delete"}'
    found = hot.plain_write(f'{{"updates":[{touched},{deleted}]}}'.encode())
    assert found is not None
    assert list(map(str, (item.op for item in found))) == ["touch", "delete"]


def test_answers_are_written_alike() -> None:
    decisions = [ALLOWED, DENIED, conditional(frozenset({"day", "a"}))]
    for decision in decisions:
        for why in (None, {}, {"kind": "proof"}):
            answer = CheckAnswer(decision, 'z"ü', why)
            assert hot.rendered_check(answer) == render.encode(render.check(answer))
    failed = BudgetExceeded("too much", budget="reads")
    for explained in ((None,) * 4, (None, {"kind": "proof"}, None, None), (None, {}, None, None)):
        batch = BatchAnswer((*decisions, failed), "zookie", explained)
        assert hot.rendered_batch(batch) == render.encode(render.batch(batch))
    none = BatchAnswer((), "zookie", ())
    assert hot.rendered_batch(none) == render.encode(render.batch(none))


async def test_both_ways_answer_alike(served: Served) -> None:
    await served.write("document:a#viewer@user:ann")
    url = "/v1/stores/default/check"
    kind = {"content-type": "application/json"}
    texts = (PLAIN, PLAIN.replace("view", "v\\u0069ew"), PLAIN[:-1] + ',"context":{}}')
    sent = [await served.http.post(url, content=text, headers=kind) for text in texts]
    answers = [answer.json() for answer in sent]
    assert answers[0]["decision"] == "allowed"
    assert answers[0] == answers[1] == answers[2]
    twice = f"{{{OBJECT},{RELATION},{SUBJECT},{SUBJECT}}}"
    refused = await served.http.post(url, content=twice, headers=kind)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_json")
