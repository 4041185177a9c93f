"""The keys of an issuer: when they are fetched, what is taken of them, and being without."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from api.errors import Unauthorized
from api.oidc.configuration import Issuer
from api.oidc.keys import KEPT_SECONDS, MAX_BYTES, PAUSE_SECONDS, REFRESH_SECONDS, read_keys
from api.oidc.verifier import TokenFault, Verifier
from api.settings import Settings
from engine.errors import Unavailable
from tests.api.issuer import OidcIssuer, Signer, issuing
from tests.api.serving import STORE, bearer, serving


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with issuing() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def verifier(issuer: OidcIssuer, clock: Clock) -> Verifier:
    configured = Settings(**issuer.settings()).oidc
    assert isinstance(configured, Issuer)
    return Verifier(configured, clock=clock)


async def fault(verifier: Verifier, token: str) -> TokenFault:
    with pytest.raises(Unauthorized) as caught:
        await verifier.verify(token.encode())
    found = caught.value.extra["why"]
    assert isinstance(found, TokenFault)
    return found


async def test_a_new_key_is_fetched_when_a_token_names_it(
    issuer: OidcIssuer, clock: Clock, verifier: Verifier
) -> None:
    old = issuer.token().encode()
    assert (await verifier.verify(old)).name == "svc-docs"
    assert verifier.known(old) is not None
    issuer.signers = [Signer("second")]
    assert await fault(verifier, issuer.token()) is TokenFault.KEY  # asked just now
    clock.now += PAUSE_SECONDS
    assert (await verifier.verify(issuer.token().encode())).name == "svc-docs"
    assert verifier.known(old) is None  # its key is gone
    assert await fault(verifier, old.decode()) is TokenFault.KEY


async def test_unknown_names_of_keys_do_not_make_an_issuer_busy(
    issuer: OidcIssuer, clock: Clock, verifier: Verifier
) -> None:
    ghost = Signer("ghost")
    for _ in range(20):
        assert await fault(verifier, issuer.token(ghost)) is TokenFault.KEY
    assert issuer.asked.count("/keys") == 1
    clock.now += PAUSE_SECONDS
    await asyncio.gather(*(fault(verifier, issuer.token(ghost)) for _ in range(20)))
    assert issuer.asked.count("/keys") == 2


async def test_keys_hold_while_the_issuer_is_away_but_not_for_ever(
    issuer: OidcIssuer, clock: Clock, verifier: Verifier
) -> None:
    token = issuer.token().encode()
    await verifier.verify(token)
    issuer.status = 500
    clock.now += REFRESH_SECONDS
    assert verifier.known(token) is None
    assert (await verifier.verify(token)).name == "svc-docs"
    with pytest.raises(Unavailable):  # a key that is not known cannot be asked for
        await verifier.verify(issuer.token(Signer("second")).encode())
    clock.now += KEPT_SECONDS
    with pytest.raises(Unavailable):
        await verifier.verify(token)
    issuer.status = 200
    clock.now += PAUSE_SECONDS
    assert (await verifier.verify(token)).name == "svc-docs"
    assert verifier.known(token) is not None


async def test_old_keys_are_fetched_again_beside_the_calls(
    issuer: OidcIssuer, clock: Clock, verifier: Verifier
) -> None:
    token = issuer.token().encode()
    await verifier.verify(token)
    clock.now += REFRESH_SECONDS
    issuer.open.clear()
    await verifier.verify(token)  # does not wait for the issuer
    issuer.open.set()
    async with asyncio.timeout(20):
        while verifier.known(token) is None:
            await asyncio.sleep(0.01)
    assert issuer.asked.count("/keys") == 2


async def test_a_call_that_is_given_up_does_not_end_the_fetch_of_others(
    issuer: OidcIssuer, verifier: Verifier
) -> None:
    issuer.open.clear()
    calls = [asyncio.create_task(verifier.verify(issuer.token().encode())) for _ in range(3)]
    async with asyncio.timeout(20):
        while "/keys" not in issuer.asked:
            await asyncio.sleep(0.01)
    calls[0].cancel()
    issuer.open.set()
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(told[0], asyncio.CancelledError)
    assert [found.name for found in told[1:] if not isinstance(found, BaseException)] == [
        "svc-docs",
        "svc-docs",
    ]
    assert issuer.asked.count("/keys") == 1


@pytest.mark.parametrize(
    ("status", "body", "document"),
    [
        (404, None, {}),
        (302, None, {}),
        (200, b"x" * (MAX_BYTES + 1), {}),
        (200, b"nul", {}),
        (200, b"[]", {}),
        (200, b'{"keys": {}}', {}),
        (200, json.dumps({"keys": [{}] * 101}).encode(), {}),
        (200, None, {"issuer": "https://evil.example"}),
        (200, None, {"jwks_uri": "file:///etc/passwd"}),
        (200, None, {"jwks_uri": "http://keys.example/"}),
        (200, None, {"jwks_uri": ["x"]}),
        (200, None, {"jwks_uri": "http://127.0.0.1:1/"}),
    ],
)
async def test_an_issuer_that_tells_no_keys_is_away(
    issuer: OidcIssuer, verifier: Verifier, status: int, body: bytes | None, document: Any
) -> None:
    issuer.status, issuer.body, issuer.document = status, body, document
    with pytest.raises(Unavailable):
        await verifier.verify(issuer.token().encode())


async def test_an_issuer_that_is_away_is_a_503_and_stops_nothing_else(issuer: OidcIssuer) -> None:
    settings = issuer.settings(oidc_jwks_url="http://127.0.0.1:1/keys")
    async with serving(**settings) as served:
        for _ in range(3):
            refused = await served.http.get(f"{STORE}/schema", headers=bearer(issuer.token()))
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert "retry-after" in refused.headers
        assert (await served.http.get("/healthz")).status_code == 200


async def test_one_key_without_a_name_is_found(issuer: OidcIssuer, verifier: Verifier) -> None:
    signer = issuer.signers[0]
    del signer.published["kid"]
    assert (await verifier.verify(issuer.token(headers={"kid": ""}).encode())).name == "svc-docs"


async def test_among_several_keys_a_token_names_its_own(
    issuer: OidcIssuer, verifier: Verifier
) -> None:
    issuer.signers.append(Signer("second"))
    assert await fault(verifier, issuer.token(headers={"kid": ""})) is TokenFault.KEY


def published(item: Any) -> bytes:
    return json.dumps({"keys": [item]}).encode()


def test_which_keys_are_taken() -> None:
    rsa, curve = Signer("a").published, Signer("b", "ES256").published
    large = ECAlgorithm(ECAlgorithm.SHA384)
    p384 = json.loads(large.to_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()))
    for good in (rsa, curve, {**rsa, "d": "AQAB"}, {**rsa, "x5u": "https://evil.example"}):
        assert len(read_keys(published(good))) == 1
    for bad in (
        7,
        {},
        {**rsa, "use": "enc"},
        {**rsa, "alg": "RS512"},
        {**rsa, "alg": "HS256"},
        {**rsa, "kty": "oct", "k": "c2VjcmV0"},
        {**rsa, "kty": ["RSA"]},
        {**rsa, "kid": 7},
        {**rsa, "n": None},
        {**rsa, "n": "%%"},
        {**rsa, "e": {}},
        {**curve, "x": "AA"},
        {**curve, "crv": "secp256k1"},
        {**p384, "kid": "c"},
        Signer("short", bits=1024).published,
    ):
        assert read_keys(published(bad)) == (), bad


async def test_no_more_wait_for_the_issuer_than_may_be_under_way(issuer: OidcIssuer) -> None:
    issuer.open.clear()
    async with serving(**issuer.settings(max_in_flight=2)) as served:
        headers = bearer(issuer.token())
        calls = [
            asyncio.create_task(served.http.get(f"{STORE}/schema", headers=headers))
            for _ in range(5)
        ]
        refused = [await each for each in itertools.islice(asyncio.as_completed(calls), 3)]
        assert [each.json()["code"] for each in refused] == ["overloaded"] * 3
        issuer.open.set()
        statuses = sorted(response.status_code for response in await asyncio.gather(*calls))
        assert statuses == [200, 200, 503, 503, 503]
