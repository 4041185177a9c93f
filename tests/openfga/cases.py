"""The published cases of OpenFGA as values: a test is stages in one store, a stage is questions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.conformance.data import ROOT

SERVER = ROOT / "openfga" / "server"
SAMPLES = ROOT / "openfga" / "sample-stores"
CONTEXTUAL_MOST = 100
Json = dict[str, Any]


class Question(NamedTuple):
    """A question with the answer that is wanted: one of `check`, `objects`, `users`, `has_object`
    or `has_user`. `error` is a number of OpenFGA's, 0 for none."""

    kind: str
    asked: Json
    wanted: Any
    error: int = 0
    context: Json | None = None
    tuples: tuple[Json, ...] = ()


class Stage(NamedTuple):
    """What is written, and what is asked then."""

    model: str
    tuples: tuple[Json, ...]
    questions: tuple[Question, ...]


class Case(NamedTuple):
    """A test of a file; `contextual` says that its tuples are given with each question."""

    file: str
    name: str
    stages: tuple[Stage, ...]
    contextual: bool = False

    @property
    def id(self) -> str:
        """Its name among all."""
        return f"{self.file}/{self.name}" + ("/contextual" if self.contextual else "")


def all_cases() -> list[Case]:
    """Every case there is."""
    return [*server_cases(), *matrix_cases(), *sample_cases()]


def server_cases() -> Iterator[Case]:
    """Those of the two files of tests; each with one stage twice."""
    for file in ("consolidated_1_1_tests", "abac_tests"):
        for test in _load(SERVER / f"{file}.yaml")["tests"]:
            stages = tuple(_stage(stage) for stage in test["stages"])
            case = Case(file, test["name"], stages)
            yield case
            yield from _again(case)


def matrix_cases() -> Iterator[Case]:
    """Those of the matrices: a model, and stages that each have a store of their own."""
    file = "check_matrix"
    document = _load(SERVER / f"{file}.yaml")
    for stage in document["stages"]:
        asked = [
            question
            for one in stage["checkAssertions"]
            for question in _every_way(one, stage["name"])
        ]
        tuples = tuple(stage["tuples"] or ())
        case = Case(file, stage["name"], (Stage(document["model"], tuples, tuple(asked)),))
        yield case
        yield from _again(case)
    file = "listobjects_matrix"
    document = _load(SERVER / f"{file}.yaml")
    for test in document["tests"]:
        listed = tuple(map(_objects, test["listObjectsAssertions"]))
        tuples = tuple(test["tuples"] or ())
        case = Case(file, test["name"], (Stage(document["model"], tuples, listed),))
        yield case
        yield from _again(case)


def sample_cases() -> Iterator[Case]:
    """Those of the sample stores: each test with the store's tuples and its own."""
    for path in sorted(SAMPLES.rglob("*.fga.yaml")):
        document = _load(path)
        model = document.get("model") or (path.parent / document["model_file"]).read_text()
        for number, test in enumerate(document["tests"], 1):
            tuples = (*(document.get("tuples") or ()), *(test.get("tuples") or ()))
            stage = Stage(model, tuples, tuple(_of_sample(test)))
            name = f"{path.relative_to(SAMPLES)}/{number}"
            yield Case("sample-stores", name, (stage,))


def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _again(case: Case) -> Iterator[Case]:
    if len(case.stages) != 1 or not case.stages[0].tuples:
        return
    most = max((len(one.tuples) for one in case.stages[0].questions), default=0)
    if len(case.stages[0].tuples) + most <= CONTEXTUAL_MOST:
        yield case._replace(contextual=True)


def _stage(stage: Json) -> Stage:
    asked = [
        *map(_check, stage.get("checkAssertions") or ()),
        *map(_objects, stage.get("listObjectsAssertions") or ()),
        *map(_users, stage.get("listUsersAssertions") or ()),
    ]
    return Stage(stage["model"], tuple(stage.get("tuples") or ()), tuple(asked))


def _beside(one: Json) -> Json:
    return {
        "error": one.get("errorCode") or 0,
        "context": one.get("context"),
        "tuples": tuple(one.get("contextualTuples") or ()),
    }


def _check(one: Json) -> Question:
    return Question("check", one["tuple"], bool(one.get("expectation")), **_beside(one))


def _objects(one: Json) -> Question:
    return Question("objects", one["request"], one.get("expectation") or [], **_beside(one))


def _users(one: Json) -> Question:
    request = {**one["request"], "filter": one["request"]["filters"][0]}
    return Question("users", request, one.get("expectation") or [], **_beside(one))


def _every_way(one: Json, stage: str) -> Iterator[Question]:
    """A check of the matrix, as a check and through both lists."""
    check = _check(one)
    yield check
    key, wanted = check.asked, check.wanted
    kind = key["object"].partition(":")[0]
    request = {"user": key["user"], "relation": key["relation"], "type": kind}
    # The suite itself holds this stage's list to nothing but that it is one.
    sure = stage != "usersets_userset_cond_to_computed_cond"
    error = one.get("listObjectsErrorCode") or (check.error if sure else 0)
    has = (key["object"], wanted if sure else None)
    yield check._replace(kind="has_object", asked=request, wanted=has, error=error)
    user_type, _, rest = key["user"].partition(":")
    relation = rest.partition("#")[2]
    error = one.get("listUsersErrorCode") or check.error
    form = f"{user_type}#{relation}" if relation else user_type
    request = {"object": key["object"], "relation": key["relation"], "filter": form}
    has = (key["user"], wanted)
    yield check._replace(kind="has_user", asked=request, wanted=has, error=error)


def _of_sample(test: Json) -> Iterator[Question]:
    for check in test.get("check") or ():
        users = check.get("users") or [check.get("user")]
        objects = check.get("objects") or [check.get("object")]
        for user, object_, item in itertools.product(users, objects, check["assertions"].items()):
            key = {"user": user, "relation": item[0], "object": object_}
            yield Question("check", key, item[1], context=check.get("context"))
    for listed in test.get("list_objects") or ():
        for relation, wanted in listed["assertions"].items():
            request = {"user": listed["user"], "relation": relation, "type": listed["type"]}
            yield Question("objects", request, wanted or [], context=listed.get("context"))
    for listed in test.get("list_users") or ():
        (form,) = listed["user_filter"]
        wanted_form = form["type"] + (f"#{form['relation']}" if form.get("relation") else "")
        for relation, wanted in listed["assertions"].items():
            asked = {"object": listed["object"], "relation": relation, "filter": wanted_form}
            users = wanted.get("users") or []
            yield Question("users", asked, users, context=listed.get("context"))
