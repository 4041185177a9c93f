"""A short version of `make contract`, on memory: the examples of the documents and a few random
requests of every call. And that a document that does not hold is noticed."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.serving import serving
from tests.contract.asking import ask
from tests.contract.documents import SWAGGER, documents
from tests.contract.seeding import seed

EXAMPLES = 1
PHASES = ("examples", "fuzzing")
NAMES = ["/openapi.json", "/openfga/openapi.json", SWAGGER.name]


@pytest.mark.parametrize("name", NAMES)
async def test_every_answer_is_as_documented(name: str) -> None:
    if name == SWAGGER.name and not SWAGGER.exists():
        pytest.skip(f"the conformance data is not there: {SWAGGER}")
    async with serving(authzen_base_url="https://authz.example.com") as served:
        found = {each.name: each for each in await documents(served.http, await seed(served.http))}
        outcome = await asyncio.to_thread(
            ask, found[name], served.url, examples=EXAMPLES, seed=1, phases=PHASES
        )
    assert outcome.shown == {}
    assert not any(status >= 500 for status in outcome.statuses)
    methods = ("get", "put", "post", "patch", "delete")
    calls = [
        f"{method.upper()} {path}"
        for path, described in found[name].text["paths"].items()
        for method in described
        if method in methods and not path.endswith("/watch")
    ]
    assert outcome.calls == set(calls)
    assert outcome.statuses.total() > EXAMPLES * len(calls)


async def test_an_answer_that_is_not_as_documented_is_a_break() -> None:
    async with serving() as served:
        found = await documents(served.http, await seed(served.http))
        openfga = found[1]
        read = "/stores/{store_id}/authorization-models"
        openfga.text["paths"] = {read: {"get": openfga.text["paths"][read]["get"]}}
        del openfga.text["paths"][read]["get"]["responses"]["400"]
        answer = openfga.text["components"]["schemas"]["ReadAuthorizationModelsResponse"]
        answer["properties"]["continuation_token"] = {"type": "integer"}
        outcome = await asyncio.to_thread(ask, openfga, served.url, examples=EXAMPLES, seed=1)
    assert any("response_schema_conformance" in what for what in outcome.breaks)
    assert any("status_code_conformance" in what for what in outcome.breaks)
