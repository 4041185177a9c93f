"""The short way of checks through JSON reads what the long way reads, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.auth import ANYONE
from api.calls import Call
from api.fga_ids import new_id, store_name
from api.openfga import hot
from api.openfga.checks import decode_batch, decode_check
from api.openfga.errors import Refused
from api.openfga.operations import OPERATIONS
from api.settings import Settings
from api.telemetry import Metrics
from api.whole import NO_ASGI
from engine.engine import Engine
from engine.store.memory import MemoryStorage

STORE = store_name(new_id())
NAMES = st.sampled_from(["document", "user", "a_b", "x-1", "", "a b", "a:b", "é", "t" * 60, "a#b"])
IDS = st.sampled_from(["1", "ann", "a|b", "a/b@c.d", "*", "a b", "", "é", "a:b", "x" * 130, "a\\b"])
IDENTIFIERS = st.sampled_from(["", "0" * 26, "0" * 25, "01m7zmbt49nc3b3gda6yj48y3x", "x"])
USERS = st.builds(
    lambda kind, id_, relation: f"{kind}:{id_}" + (f"#{relation}" if relation else ""),
    NAMES,
    IDS,
    st.sampled_from(["", "", "member", "a b", "m" * 51]),
)
KEYS = st.fixed_dictionaries(
    {"user": USERS, "relation": NAMES, "object": st.builds("{}:{}".format, NAMES, IDS)}
)
CORRELATION_IDS = st.sampled_from(["1", "a-b", "", "a b", "x" * 37])
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "authorization_model_id": IDENTIFIERS,
        "consistency": st.sampled_from(
            ["UNSPECIFIED", "MINIMIZE_LATENCY", "HIGHER_CONSISTENCY", "", "NONE"]
        ),
        "zookie": st.sampled_from(["", "abc", "a b", "x" * 50]),
        "context": st.just({}),
        "other": st.just("x"),
    },
)


@pytest.fixture(scope="module")
def call() -> Call:
    async def never() -> None:
        raise AssertionError("nobody waits for this")

    return Call(
        next(one for one in OPERATIONS if one.name == "fga_check"),
        Engine(MemoryStorage()),
        Settings(index=False),
        Metrics(None),
        *NO_ASGI,
        {},
        ANYONE,
        STORE,
        "id",
        never,
    )


def long_way(read: Any, call: Call, text: bytes) -> Any:
    """What the long way makes of a body: a refusal is None."""
    try:
        return read(call, text)
    except Refused:
        return None


@settings(max_examples=600, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS, TERMS)
def test_single_checks(call: Call, key: Any, terms: Any) -> None:
    text = json.dumps({"tuple_key": key, **terms}, ensure_ascii=False).encode()
    plain = hot.plain_check(text, STORE)
    if plain is not None:
        assert plain == long_way(decode_check, call, text)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(KEYS, st.sampled_from(["1", "a-b", "", "a b", "x" * 37])), max_size=3), TERMS
)
def test_batches(call: Call, items: Any, terms: Any) -> None:
    checks = [{"tuple_key": key, "correlation_id": id_} for key, id_ in items]
    text = json.dumps({"checks": checks, **terms}, ensure_ascii=False).encode()
    plain = hot.plain_batch(text, STORE)
    if plain is not None:
        assert plain == long_way(decode_batch, call, text)


def test_ordinary_bodies_go_the_short_way() -> None:
    key = {"user": "user:ann", "relation": "viewer", "object": "document:1"}
    more = {"authorization_model_id": "0" * 26, "consistency": "HIGHER_CONSISTENCY"}
    item = {"tuple_key": key, "correlation_id": "1"}
    assert hot.plain_check(json.dumps({"tuple_key": key, **more}).encode(), STORE)
    assert hot.plain_batch(json.dumps({"checks": [item], **more}).encode(), STORE)
    twice = [item, {**item, "tuple_key": {**key, "user": "user:bob"}}]
    assert hot.plain_batch(json.dumps({"checks": twice}).encode(), STORE) is None
