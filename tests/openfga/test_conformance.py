"""Every published case of OpenFGA's server and of its sample stores, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.conformance.data import cases
from tests.openfga.cases import Case, all_cases
from tests.openfga.conformance import failures
from tests.openfga.differences import EXPECTED


@pytest.mark.parametrize("case", cases(all_cases, lambda case: case.id))
async def test_case(openfga: httpx.AsyncClient, case: Case) -> None:
    asked, wrong = await failures(openfga, case)
    assert asked
    differs = EXPECTED.get(case.id, {})
    assert wrong.keys() == differs.keys(), wrong
