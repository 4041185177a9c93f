"""Bearer tokens of an OpenID Connect issuer: JSON Web Tokens, verified by its keys.

A token is taken if it is signed by a key of the issuer with RS256 or ES256, is for our audience and
from the issuer, is not expired and valid already (30 s of clocks that differ), and names a subject
or client. PyJWT verifies; what stands here says what is expected. A token that was verified is
known by its digest until it expires or the keys change, so that a call costs one hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

import jwt

from api.auth import ALL, Principal, granted
from api.errors import Unauthorized
from api.oidc.configuration import Issuer
from api.oidc.keys import ALGORITHMS, Fetch, Keys, SigningKey
from engine.cache.shared import Lru

MAX_TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 30
_KNOWN_TOKENS = 4096
_MAX_NAME = 255
_CLIENT_CLAIMS = ("azp", "client_id")


class TokenFault(StrEnum):
    """Why a token was refused: the `why` of Unauthorized."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    KEY = "key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    SUBJECT = "subject"
    CLAIMS = "claims"


_FAULTS: tuple[tuple[type[Exception], TokenFault, str], ...] = (
    (jwt.ExpiredSignatureError, TokenFault.EXPIRED, "the token has expired"),
    (jwt.ImmatureSignatureError, TokenFault.NOT_YET_VALID, "the token is not valid yet"),
    (jwt.InvalidAudienceError, TokenFault.AUDIENCE, "the token is for another audience"),
    (jwt.InvalidIssuerError, TokenFault.ISSUER, "the token is from another issuer"),
    (jwt.InvalidSignatureError, TokenFault.SIGNATURE, "the token's signature is wrong"),
    (jwt.InvalidAlgorithmError, TokenFault.ALGORITHM, "the token's algorithm is not taken"),
)
_OF_CLAIM = {"iss": TokenFault.ISSUER, "aud": TokenFault.AUDIENCE}


class _Known(NamedTuple):
    principal: Principal
    expires: float
    generation: int


class Verifier:
    """Tells whose a token is. `now` is the wall clock in seconds, `clock` one that never jumps."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        fetch: Fetch | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._now = now
        self._keys = Keys(issuer, fetch, clock)
        self._known: Lru[bytes, _Known] = Lru(_KNOWN_TOKENS)

    def known(self, token: bytes) -> Principal | None:
        """Whose a token is that was verified lately, None if it has to be verified."""
        found = self._known.used(sha256(token).digest())
        if found is None or not self._keys.fresh or found.generation != self._keys.generation:
            return None
        return found.principal if self._now() < found.expires + LEEWAY_SECONDS else None

    async def verify(self, token: bytes) -> Principal:
        """Whose a token is. Raises Unauthorized with a TokenFault as `why`, and Unavailable while
        the issuer's keys cannot be had."""
        key = await self._key(token)
        claims = self._claims(token, key)
        principal = self._principal(claims)
        known = _Known(principal, claims["exp"], self._keys.generation)
        self._known.put(sha256(token).digest(), known)
        return principal

    async def _key(self, token: bytes) -> SigningKey:
        if len(token) > MAX_TOKEN_BYTES:
            raise refused(TokenFault.MALFORMED, "the token is too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise refused(TokenFault.MALFORMED, "neither a key nor a token") from None
        algorithm, name = header.get("alg"), header.get("kid", "")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS.values():
            raise refused(TokenFault.ALGORITHM, "the token's algorithm is not taken")
        if not isinstance(name, str) or "crit" in header:
            raise refused(TokenFault.MALFORMED, "the token's header is not understood")
        key = await self._keys.find(name, algorithm)
        if key is None:
            raise refused(TokenFault.KEY, "the token is signed with an unknown key")
        return key

    def _claims(self, token: bytes, key: SigningKey) -> Mapping[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._issuer.audience,
                issuer=sorted(self._issuer.names),
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
            claims["exp"] = float(claims["exp"])
        except jwt.MissingRequiredClaimError as error:
            fault = _OF_CLAIM.get(str(error.claim), TokenFault.CLAIMS)
            raise refused(fault, f"the token has no `{error.claim}`") from None
        except jwt.PyJWTError as error:
            for kind, fault, message in _FAULTS:
                if isinstance(error, kind):
                    raise refused(fault, message) from None
            raise refused(TokenFault.MALFORMED, "the token is not well formed") from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise refused(TokenFault.MALFORMED, "the token is not well formed") from None
        return claims

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        """Who the token is: its subject, or else its client."""
        named = [claims.get(claim) for claim in ("sub", *_CLIENT_CLAIMS)]
        names = [name for name in named if isinstance(name, str) and name]
        if not names or len(names[0]) > _MAX_NAME or not names[0].isprintable():
            raise refused(TokenFault.SUBJECT, "the token names neither a subject nor a client")
        allowed = self._issuer.subjects
        if allowed is not None and allowed.isdisjoint(names):
            raise refused(TokenFault.SUBJECT, "the token's subject is not one that may call")
        if self._issuer.grants is None:
            return granted(names[0], (ALL,))
        values = _values(claims, self._issuer.claim)
        return granted(
            names[0],
            tuple(grant for value, grant in self._issuer.grants.items() if value in values),
        )


def refused(why: TokenFault, message: str) -> Unauthorized:
    """The error of a token that is not taken."""
    return Unauthorized(
        message, expected="`Authorization: Bearer <key or token>`", presented=True, why=why
    )


def _values(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """The values of a claim: words of a text (RFC 8693 §4.2), or a list. Dots in its name lead into
    objects."""
    found: Any = claims.get(claim)
    if found is None and "." in claim:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return frozenset(found.split())
    if isinstance(found, list):
        return frozenset(value for value in found if isinstance(value, str))
    return frozenset()
