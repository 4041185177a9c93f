"""Whatever is done to a model in JSON: it is refused with a reason, or it can be used."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SchemaRefused
from engine.schemas import compile_schema
from schema.fga.convert.notes import CannotConvertError
from schema.fga.convert.to_zed import to_zed
from schema.fga.decode import parse_json_model
from schema.fga.dsl.check import check_model
from schema.fga.dsl.print import print_model
from schema.fga.dsl.problems import DslError
from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from tests.fga.strategies import BUSY, models
from tests.fga.test_json_models import MODEL

_VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, 0, -1, True, "", "self", "user", "r0", "a b", [], {}, {"this": {}}, [{}], 1.5, "*"]
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with every key or index in it."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [(value, key) for key, _ in items]
    for _, inner in items:
        found += _places(inner)
    return found


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    model = copy.deepcopy(draw(st.just(MODEL) | models().map(encode_model)))
    for _ in range(draw(st.integers(1, 3))):
        places = _places(model)
        container, key = draw(st.sampled_from(places)) if places else (model, "id")
        if draw(st.booleans()):
            container[key] = draw(_VALUES)
        else:
            del container[key]
    return model


@BUSY
@given(damaged())
def test_no_damage_breaks_the_reader(value: Any) -> None:
    text = json.dumps(value)
    try:
        compile_schema(text, "fga")
    except SchemaRefused:
        return
    model = parse_model(text)
    assert parse_json_model(json.dumps(encode_model(model))) == model
    check_model(model)
    with contextlib.suppress(DslError, CannotConvertError):
        print_model(model)
        to_zed(model)
