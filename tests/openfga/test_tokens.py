"""Tokens of an issuer on OpenFGA's wire: its codes, and a client that fetches its own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import openfga_sdk.client
import openfga_sdk.credentials
import pytest

from tests.api.issuer import AUDIENCE, OidcIssuer, Signer, issuing
from tests.api.serving import serving
from tests.openfga.client import Refusal, tuple_key
from tests.openfga.model import TUPLES, filled
from tests.openfga.sdk import models

_client: Any = openfga_sdk.client
_credentials: Any = openfga_sdk.credentials


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with issuing() as made:
        yield made


REFUSED: list[tuple[Callable[[OidcIssuer], str], str]] = [
    (lambda i: i.token(aud="shop"), "auth_failed_invalid_audience"),
    (lambda i: i.token(aud=None), "auth_failed_invalid_audience"),
    (lambda i: i.token(iss="https://evil.example"), "auth_failed_invalid_issuer"),
    (lambda i: i.token(sub="other"), "auth_failed_invalid_subject"),
    (lambda i: i.token(exp=None), "invalid_claims"),
    (lambda i: i.token(exp=int(time.time()) - 90), "auth_failed_invalid_bearer_token"),
    (lambda i: i.token(Signer("first")), "auth_failed_invalid_bearer_token"),
    (lambda i: i.token(Signer("ghost")), "auth_failed_invalid_bearer_token"),
    (lambda _: "a.b.c", "auth_failed_invalid_bearer_token"),
]


@pytest.mark.parametrize(("forge", "code"), REFUSED)
async def test_each_fault_has_its_code(
    issuer: OidcIssuer, forge: Callable[[OidcIssuer], str], code: str
) -> None:
    async with serving(**issuer.settings(oidc_subjects="svc-docs")) as served:
        served.http.headers["authorization"] = f"Bearer {issuer.token()}"
        fga = await filled(served)
        served.http.headers["authorization"] = f"Bearer {forge(issuer)}"
        with pytest.raises(Refusal) as told:
            await fga.check(TUPLES[0])
        assert (told.value.status, told.value.code) == (401, code)


async def test_a_client_with_credentials_of_its_own(issuer: OidcIssuer) -> None:
    """The SDK fetches its token from the issuer, which the server then verifies."""
    async with serving(**issuer.settings(oidc_subjects="client-7")) as served:
        served.http.headers["authorization"] = f"Bearer {issuer.token(sub='client-7')}"
        fga = await filled(served)
        configuration = _client.ClientConfiguration(
            api_url=served.url,
            store_id=fga.store,
            credentials=_credentials.Credentials(
                method="client_credentials",
                configuration=_credentials.CredentialConfiguration(
                    api_issuer=f"{issuer.url}/token",
                    api_audience=AUDIENCE,
                    client_id="client-7",
                    client_secret="of no interest",  # noqa: S106
                ),
            ),
        )
        async with _client.OpenFgaClient(configuration) as made:
            asked = models.ClientCheckRequest(**tuple_key(TUPLES[0]))
            assert (await made.check(asked)).allowed
    assert "/tenant/token" in issuer.asked
