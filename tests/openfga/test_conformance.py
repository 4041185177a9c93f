"""Every published case of OpenFGA's server and of its sample stores, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.conformance.data import cases
from tests.openfga.cases import Case, all_cases
from tests.openfga.conformance import failures
from tests.openfga.differences import EXPECTED

_EVERYWHERE = ("consolidated_1_1_tests", "abac_tests")


def placed() -> Iterator[tuple[str, Case]]:
    """Each case with where it is asked: the tests on every storage, all else on an index."""
    for case in all_cases():
        if case.file in _EVERYWHERE:
            yield "memory", case
            yield "postgres", case
        yield "index", case


@pytest.fixture(params=cases(lambda: list(placed()), lambda at: f"{at[1].id}-{at[0]}"))
def asking(request: pytest.FixtureRequest) -> tuple[httpx.AsyncClient, Case]:
    """A case, and a client of the server to ask."""
    storage, case = request.param
    return request.getfixturevalue(f"on_{storage}"), case


async def test_case(asking: tuple[httpx.AsyncClient, Case]) -> None:
    http, case = asking
    asked, wrong = await failures(http, case)
    assert asked
    differs = EXPECTED.get(case.id, {})
    assert wrong.keys() == differs.keys(), wrong
