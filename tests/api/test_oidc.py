"""Bearer tokens: which are taken, what they may do, and how refusals are told."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import httpx
import jwt
import pytest

from api.settings import SettingsError, load_settings
from tests.api.issuer import AUDIENCE, OidcIssuer, Signer, issuing
from tests.api.serving import STORE, Served, bearer, key, serving

Json = dict[str, Any]


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with issuing() as made:
        yield made


async def asked(served: Served, token: str | bytes) -> httpx.Response:
    """A read with this token."""
    authorization = b"Bearer " + (token if isinstance(token, bytes) else token.encode())
    return await served.http.get(f"{STORE}/schema", headers={b"authorization": authorization})


def encoded(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


async def test_tokens_of_both_algorithms_are_taken(issuer: OidcIssuer) -> None:
    other = Signer("second", "ES256")
    issuer.signers.append(other)
    async with serving(**issuer.settings()) as served:
        for token in (issuer.token(), issuer.token(other), issuer.token(aud=["x", AUDIENCE])):
            assert (await asked(served, token)).status_code == 200
        assert (await asked(served, issuer.token())).status_code == 200
        assert issuer.asked == ["/tenant/.well-known/openid-configuration", "/keys"]


async def test_keys_go_on_working_beside_tokens(issuer: OidcIssuer) -> None:
    keys = key("app", "s.e.cret", ":default:read")
    async with serving(**issuer.settings(api_keys=keys)) as served:
        assert (await asked(served, "s.e.cret")).status_code == 200
        assert (await asked(served, issuer.token())).status_code == 200
        assert (await asked(served, "wrong")).status_code == 401
        assert (await served.http.get(f"{STORE}/schema")).status_code == 401
        assert (await served.http.get("/healthz")).status_code == 200
        assert (await served.http.get("/metrics")).status_code == 401


Forge = Callable[[OidcIssuer], str]


def _with_secret(issuer: OidcIssuer) -> str:
    """HS256 with the public key for a secret."""
    public = json.dumps(issuer.signers[0].published).encode()
    head = encoded({"alg": "HS256", "kid": "first", "typ": "JWT"})
    body = f"{head}.{encoded(issuer.claims())}"
    return f"{body}.{encoded(hmac.digest(public, body.encode(), sha256))}"


def _unsigned(issuer: OidcIssuer) -> str:
    return jwt.encode(issuer.claims(), "", algorithm="none", headers={"kid": "first"})


def _other_key_same_name(issuer: OidcIssuer) -> str:
    return issuer.token(Signer("first"))


def _changed(issuer: OidcIssuer) -> str:
    head, _, signature = issuer.token().split(".")
    return f"{head}.{encoded(issuer.claims(sub='root'))}.{signature}"


def _named_rsa_is_ec(issuer: OidcIssuer) -> str:
    return issuer.token(Signer("first", "ES256"))


def _ps256(issuer: OidcIssuer) -> str:
    private = issuer.signers[0].private
    return jwt.encode(issuer.claims(), private, algorithm="PS256", headers={"kid": "first"})


REFUSED: list[tuple[str, Forge, str]] = [
    ("expired", lambda i: i.token(exp=int(time.time()) - 60), "has expired"),
    ("no expiry", lambda i: i.token(exp=None), "no `exp`"),
    ("expiry is text", lambda i: i.token(exp="soon"), "not well formed"),
    ("not yet", lambda i: i.token(nbf=int(time.time()) + 90), "not valid yet"),
    ("from the future", lambda i: i.token(iat=int(time.time()) + 90), "not valid yet"),
    ("other audience", lambda i: i.token(aud="shop"), "another audience"),
    ("no audience", lambda i: i.token(aud=None), "no `aud`"),
    ("empty audience", lambda i: i.token(aud=[]), "no `aud`"),
    ("odd audience", lambda i: i.token(aud=[AUDIENCE, 7]), "another audience"),
    ("other issuer", lambda i: i.token(iss="https://evil.example"), "another issuer"),
    ("issuer and a bit", lambda i: i.token(iss=f"{i.url}/"), "another issuer"),
    ("issuer's beginning", lambda i: i.token(iss="http"), "another issuer"),
    ("no issuer", lambda i: i.token(iss=None), "no `iss`"),
    ("nobody", lambda i: i.token(sub=None), "neither a subject nor a client"),
    ("long name", lambda i: i.token(sub="x" * 256), "neither a subject nor a client"),
    ("odd name", lambda i: i.token(sub="a\nb"), "neither a subject nor a client"),
    ("number as a name", lambda i: i.token(sub=7), "not well formed"),
    ("unsigned", _unsigned, "algorithm is not taken"),
    ("public key as a secret", _with_secret, "algorithm is not taken"),
    ("PS256", _ps256, "algorithm is not taken"),
    ("other key", _other_key_same_name, "signature is wrong"),
    ("changed claims", _changed, "signature is wrong"),
    ("unknown key", lambda i: i.token(Signer("ghost")), "unknown key"),
    ("other kind of key", _named_rsa_is_ec, "unknown key"),
    ("critical header", lambda i: i.token(headers={"crit": ["x"], "x": 1}), "neither a key nor"),
    ("name of a key is no text", lambda i: _headed(i, kid=7), "neither a key nor"),
    ("algorithm is no text", lambda i: _headed(i, alg=["RS256"]), "algorithm is not taken"),
    ("too long", lambda i: i.token(pad="x" * 9000), "too long"),
    ("no token", lambda _: "a.b.c", "neither a key nor a token"),
    ("two parts", lambda _: "a.b", "neither a key nor a token"),
    ("deep header", lambda _: f"{encoded(b'[' * 5000)}.e30.e30", "neither a key nor a token"),
    ("claims are a list", lambda i: _signed(i, b"[]"), "not well formed"),
    ("claims are no JSON", lambda i: _signed(i, b"\xff"), "not well formed"),
    ("expiry without end", lambda i: _signed(i, _infinite(i)), "not well formed"),
    ("expiry beyond numbers", lambda i: i.token(exp=10**400), "not well formed"),
]


def _headed(issuer: OidcIssuer, **header: Any) -> str:
    head = encoded({"alg": "RS256", "kid": "first", **header})
    return f"{head}.{encoded(issuer.claims())}.{encoded(b'x' * 256)}"


def _signed(issuer: OidcIssuer, payload: bytes) -> str:
    return jwt.PyJWS().encode(
        payload, issuer.signers[0].private, algorithm="RS256", headers={"kid": "first"}
    )


def _infinite(issuer: OidcIssuer) -> bytes:
    return json.dumps(issuer.claims(exp=float("inf"))).encode()


@pytest.mark.parametrize(("name", "forge", "said"), REFUSED, ids=[name for name, _, _ in REFUSED])
async def test_a_token_that_is_not_taken(
    issuer: OidcIssuer, name: str, forge: Forge, said: str
) -> None:
    async with serving(**issuer.settings()) as served:
        token = forge(issuer)
        for _ in range(2):
            response = await asked(served, token)
            told = response.json()
            assert (response.status_code, told["code"]) == (401, "unauthorized")
            assert said in told["detail"]
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert token not in response.text


async def test_clocks_may_differ_a_little(issuer: OidcIssuer) -> None:
    now = int(time.time())
    async with serving(**issuer.settings()) as served:
        close: list[Json] = [{"exp": now - 10}, {"nbf": now + 10}, {"iat": now + 10}]
        for changes in close:
            assert (await asked(served, issuer.token(**changes))).status_code == 200


async def test_bytes_that_no_token_holds(issuer: OidcIssuer) -> None:
    async with serving(**issuer.settings()) as served:
        for odd in (b"\xff.\xff.\xff", b"..", b".", b"e30.e30.e30", "é.é.é".encode("latin-1")):
            assert (await asked(served, odd)).status_code == 401


async def test_issuers_by_other_names_and_listed_subjects(issuer: OidcIssuer) -> None:
    settings = issuer.settings(
        oidc_issuer_aliases="https://old.example, https://older.example",
        oidc_subjects="svc-docs,svc-mail",
    )
    async with serving(**settings) as served:
        assert (await asked(served, issuer.token(iss="https://older.example"))).status_code == 200
        called: list[tuple[Json, int]] = [
            ({}, 200),
            ({"sub": "svc-other"}, 401),
            ({"sub": None, "client_id": "svc-mail"}, 200),
            ({"sub": "svc-other", "azp": "svc-mail"}, 200),
        ]
        for changes, status in called:
            assert (await asked(served, issuer.token(**changes))).status_code == status, changes


async def test_claims_are_granted_rights_on_stores(issuer: OidcIssuer) -> None:
    grants = "authz.check=:check,team-a=acme:read+write,authz.admin="
    async with serving(**issuer.settings(oidc_grants=grants)) as served:
        await served.engine.create_store("acme")
        await served.engine.create_store("beta")
        check = {"object": "document:d", "relation": "view", "subject": "user:u"}
        for scope, method, path, status in [
            ("authz.check", "POST", "default/check", 200),
            ("authz.check", "GET", "acme/schema", 403),
            ("team-a", "GET", "acme/schema", 404),
            ("team-a", "POST", "acme/check", 403),
            ("team-a", "GET", "beta/schema", 403),
            ("team-a authz.check", "POST", "default/check", 200),
            ("team-a authz.check", "GET", "default/schema", 403),
            (["openid", "authz.admin"], "GET", "default/schema", 200),
            ("openid", "POST", "default/check", 403),
            (None, "POST", "default/check", 403),
            (7, "POST", "default/check", 403),
        ]:
            body = check if method == "POST" else None
            headers = bearer(issuer.token(scope=scope))
            response = await served.http.request(
                method, f"/v1/stores/{path}", headers=headers, json=body
            )
            assert response.status_code == status, (scope, path, response.text)


async def test_grants_for_stores_in_general_are_those_with_the_right(issuer: OidcIssuer) -> None:
    grants = "a=acme:admin,b=beta:read"
    settings = issuer.settings(oidc_grants=grants, oidc_claim="realm_access.roles")
    async with serving(**settings) as served:
        for name in ("acme", "beta"):
            await served.engine.create_store(name)
        token = issuer.token(realm_access={"roles": ["a", "b"]})
        listed = await served.http.get("/v1/stores", headers=bearer(token))
        assert [store["name"] for store in listed.json()["stores"]] == ["acme"]
        for name, status in (("acme", 204), ("beta", 403)):
            gone = await served.http.delete(f"/v1/stores/{name}", headers=bearer(token))
            assert gone.status_code == status


async def test_the_subject_is_the_actor(issuer: OidcIssuer) -> None:
    async with serving(**issuer.settings()) as served:
        body = {"updates": [{"op": "touch", "tuple": "document:d#owner@user:ann"}]}
        headers = bearer(issuer.token(sub="auth0|7f3"))
        assert (await served.post("/write", body, headers=headers)).status_code == 200
        asked_for = {"filter": {"object_type": "document", "object_id": "d"}}
        told = (await served.post("/history", asked_for, headers=headers)).json()
        assert told["events"][0]["actor"] == "auth0|7f3"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"oidc_issuer": "https://i.example"}, "must both be set"),
        ({"oidc_audience": "x"}, "must both be set"),
        ({"oidc_grants": "a="}, "STONETOWN_OIDC_GRANTS is"),
        ({"oidc_issuer": "http://i.example", "oidc_audience": "x"}, "an https URL"),
        ({"oidc_issuer": "https://u:marker@i.example", "oidc_audience": "x"}, "an https URL"),
        ({"oidc_issuer": "https://i.example?a", "oidc_audience": "x"}, "an https URL"),
        ({"oidc_issuer": "https://[::x", "oidc_audience": "x"}, "an https URL"),
    ],
)
def test_half_a_configuration_stops_the_start(values: Json, said: str) -> None:
    with pytest.raises(SettingsError, match="STONETOWN_OIDC") as caught:
        load_settings(**values)
    assert said in str(caught.value)
    assert "marker" not in str(caught.value)


@pytest.mark.parametrize("grants", ["a", "=x", "a=UPPER", "a=:fly", "a=x,a=y"])
def test_wrong_grants_stop_the_start(grants: str) -> None:
    with pytest.raises(SettingsError, match="STONETOWN_OIDC_GRANTS"):
        load_settings(oidc_issuer="https://i.example", oidc_audience="x", oidc_grants=grants)


def test_an_issuer_is_enough_to_listen_everywhere() -> None:
    settings = load_settings(host="0.0.0.0", oidc_issuer="https://i.example", oidc_audience="x")  # noqa: S104
    assert settings.oidc is not None
    with pytest.raises(SettingsError, match="STONETOWN_OIDC_ISSUER"):
        load_settings(host="0.0.0.0")  # noqa: S104
