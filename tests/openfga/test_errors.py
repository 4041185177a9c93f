"""The table of OpenFGA's errors: every code of its document, and every error that we know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api.errors import TABLE, Overloaded, Unauthorized
from api.oidc.verifier import TokenFault, refused
from api.openfga.errors import ABORTED, CODES, TOLD, Refused, render, wording
from engine.errors import BudgetExceeded, EngineError, Unavailable
from tests.conformance.data import ROOT

DOCUMENT = ROOT / "openfga" / "apidocs.swagger.json"


def test_every_error_is_told() -> None:
    assert set(TOLD) == set(TABLE)
    assert {told.code for told in TOLD.values()} <= {*CODES, ABORTED}


@pytest.mark.skipif(not DOCUMENT.exists(), reason=f"the conformance data is not there: {DOCUMENT}")
def test_the_codes_are_those_of_the_document() -> None:
    definitions: dict[str, Any] = json.loads(DOCUMENT.read_text())["definitions"]
    names = [name for name in definitions if name.endswith("ErrorCode")]
    listed = {code for name in names for code in definitions[name]["enum"]}
    assert set(CODES) == {code for code in listed if not code.startswith("no_")}


@pytest.mark.parametrize(
    ("code", "status"),
    [("unauthenticated", 401), ("forbidden", 403), ("validation_error", 400),
     ("invalid_start_time", 400), ("throttled_timeout_error", 422), ("internal_error", 500),
     ("store_id_not_found", 404), ("unimplemented", 404), (ABORTED, 409)],
)  # fmt: skip
def test_the_status_follows_from_the_number(code: str, status: int) -> None:
    told = render(Refused(code, "why"), "id")
    assert told.status == status
    assert told.body == b'{"code":"%b","message":"why"}\n' % code.encode()


def test_some_errors_say_more() -> None:
    assert wording(Unauthorized("no")).code == "bearer_token_missing"
    assert wording(Unauthorized("no", presented=True)).code == "unauthenticated"
    for fault, code in (
        (TokenFault.AUDIENCE, "auth_failed_invalid_audience"),
        (TokenFault.CLAIMS, "invalid_claims"),
        (TokenFault.SIGNATURE, "auth_failed_invalid_bearer_token"),
    ):
        told = wording(refused(fault, "why"))
        assert (told.code, told.status, told.message) == (code, 401, "why")
    assert wording(BudgetExceeded.of("milliseconds")).code == "throttled_timeout_error"
    assert wording(BudgetExceeded.of("reads")).code == "authorization_model_resolution_too_complex"
    assert (b"retry-after", b"1") in render(Unavailable("away"), "id").headers
    assert render(Overloaded("much"), "id").status == 429


@pytest.mark.parametrize("kind", TOLD)
def test_a_message_is_never_empty(kind: type[EngineError]) -> None:
    assert wording(kind("why", expected="how")).message
