"""Published expectations, asked of schemas after they have been said in the other language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from engine.decision import Decision
from engine.engine import Engine
from engine.errors import CycleThroughExclusion, EngineError
from engine.jsontext import canonical_json
from engine.requests import FULLY_CONSISTENT, Check, WriteRequest
from engine.store.memory import MemoryStorage
from engine.store.protocol import Update, UpdateOp
from engine.tuples import make_tuple, parse_object, parse_subject
from schema import parse_schema
from schema.fga.convert.from_zed import to_model
from schema.fga.convert.notes import CannotConvertError
from schema.fga.convert.to_zed import Moves, ZedConversion, to_zed
from schema.fga.encode import encode_model
from schema.fga.language import parse_dsl
from tests.conformance.data import ROOT, cases
from tests.conformance.validation_files import ValidationFile, every_file
from tests.fga.conformance import case_name

FILES = ("abac_tests", "consolidated_1_1_tests")


def load() -> list[dict[str, Any]]:
    """Every test of the server's files."""
    folder = ROOT / "openfga" / "server"
    texts = ((folder / f"{name}.yaml").read_text("utf-8") for name in FILES)
    return [test for text in texts for test in yaml.load(text, Loader=yaml.CSafeLoader)["tests"]]


def converted(model: str) -> ZedConversion | None:
    """The model in `.zed`, or None if it uses names that `.zed` does not have."""
    try:
        return to_zed(parse_dsl(model))
    except CannotConvertError as error:
        if all("cannot be a name" in line for line in str(error).splitlines()):
            return None
        raise


async def written(engine: Engine, store: str, item: dict[str, Any], moves: Moves) -> None:
    """Write a tuple where it has moved to; what the model does not allow is left out."""
    condition = item.get("condition") or {}
    object_ = parse_object(item["object"])
    made = make_tuple(
        object_,
        moves.get((object_.type, item["relation"]), item["relation"]),
        parse_subject(item["user"]),
        caveat=condition.get("name", ""),
        context=canonical_json(condition.get("context") or {}),
    )
    await engine.write(store, WriteRequest([Update(UpdateOp.TOUCH, made)]))


def questions(stage: dict[str, Any]) -> Iterator[tuple[Check, bool]]:
    """The checks of a stage that expect an answer and bring no tuples."""
    for item in stage.get("checkAssertions") or ():
        asked = item["tuple"]
        if item.get("errorCode") or item.get("contextualTuples"):
            continue
        check = Check(
            parse_object(asked["object"]),
            asked["relation"],
            parse_subject(asked["user"]),
            item.get("context") or {},
        )
        yield check, bool(item.get("expectation"))


@pytest.mark.parametrize("test", cases(load, case_name))
async def test_converted_models_meet_the_expectations(test: dict[str, Any]) -> None:
    tuples: list[dict[str, Any]] = []
    for number, stage in enumerate(test["stages"]):
        tuples += stage.get("tuples") or []
        made = converted(stage["model"])
        if made is None:
            continue
        engine, store = Engine(MemoryStorage()), f"s{number}"
        await engine.create_store(store)
        await engine.write_schema(store, made.text)
        for item in tuples:
            try:
                await written(engine, store, item, made.moves)
            except EngineError:
                assert number, item  # a tuple of an earlier model
        asked = list(questions(stage))
        results: tuple[Decision | EngineError, ...] = ()
        if asked:
            checks = [check for check, _ in asked]
            results = (await engine.check_batch(store, checks, FULLY_CONSISTENT)).results
        for (check, expected), result in zip(asked, results, strict=True):
            allowed = isinstance(result, Decision) and result.allowed
            assert allowed is expected, (check, result)
            assert isinstance(result, Decision | CycleThroughExclusion), result
        await engine.close()


UNSAYABLE = (
    "tuples of OpenFGA do not expire",
    "the name does not match OpenFGA's rule",
    "OpenFGA has no arrow over all objects",
    "is walked and allows the userset",
    "OpenFGA has no word for the object itself",
)


def _file_name(file: ValidationFile) -> str:
    return file.name


@pytest.mark.parametrize("file", cases(every_file, _file_name))
async def test_converted_schemas_meet_the_assertions(file: ValidationFile) -> None:
    schema = parse_schema(file.schema)
    try:
        model = to_model(schema).model
    except CannotConvertError as error:
        if all(any(why in line for why in UNSAYABLE) for line in str(error).splitlines()):
            return
        raise
    engine = Engine(MemoryStorage())
    await engine.create_store("s")
    await engine.write_schema("s", json.dumps(encode_model(model)), "fga")
    for item in file.tuples:
        await engine.write("s", WriteRequest([Update(UpdateOp.TOUCH, item)]))
    kept = {(kind.name, name) for kind in model.types for name in kind.relations}
    for assertion in file.assertions:
        check = assertion.check
        if (check.object.type, check.relation) not in kept:
            assert assertion.verdict == "denied"  # nobody can ever be in it: it was left out
            continue
        decision = (await engine.check("s", check, FULLY_CONSISTENT)).decision
        assert str(decision.verdict) == assertion.verdict, assertion.text
    await engine.close()
