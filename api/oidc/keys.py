"""The keys that an issuer signs with: fetched when they are needed, kept, and fetched again.

The issuer is asked when nothing is known, when what is known grows old, and when a token names a
key that is not known, but never twice within a few seconds. While it is away, what was fetched last
holds for a day. A fetch is one task that all who wait share; nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, NamedTuple

import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from api.oidc.configuration import Issuer, may_fetch
from engine.errors import EngineError, Unavailable
from engine.jsontext import parse_json_object

REFRESH_SECONDS = 600.0
KEPT_SECONDS = 86_400.0
PAUSE_SECONDS = 5.0
FETCH_SECONDS = 5.0
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
_RSA_BITS = 2048
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""What is taken, by the type of key. A key is used with the one that belongs to its type, so that
no token can have a public key taken for a secret."""

Fetch = Callable[[str], Awaitable[bytes]]
_log = structlog.get_logger(__name__)


class FetchError(Exception):
    """The issuer did not answer as it should."""


class SigningKey(NamedTuple):
    """A public key, what it is called ("" for nothing) and what it signs with."""

    name: str
    algorithm: str
    key: Any


class Keys:
    """The keys of one issuer. `generation` changes with them."""

    def __init__(
        self, issuer: Issuer, fetch: Fetch | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch or fetch_bounded
        self._clock = clock
        self._known: tuple[SigningKey, ...] = ()
        self._told: bytes = b""
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._failed = True
        self._asking: asyncio.Task[None] | None = None
        self.generation = 0

    @property
    def fresh(self) -> bool:
        """Whether what is known need not be fetched again."""
        return self._clock() - self._fetched_at < REFRESH_SECONDS

    async def find(self, name: str, algorithm: str) -> SigningKey | None:
        """The key that a token names, or the only one there is if it names none.

        Raises Unavailable when it is not known and the issuer cannot be asked.
        """
        if self._clock() - self._fetched_at >= KEPT_SECONDS:
            await self._ask()
            self._expect_answer()
        elif not self.fresh:
            self._begin()
        found = self._matching(name, algorithm)
        if found is None:
            await self._ask()
            found = self._matching(name, algorithm)
            if found is None:
                self._expect_answer()
        return found

    def _matching(self, name: str, algorithm: str) -> SigningKey | None:
        fit = [key for key in self._known if key.algorithm == algorithm]
        if not name:
            return fit[0] if len(fit) == 1 else None
        return next((key for key in fit if key.name == name), None)

    def _expect_answer(self) -> None:
        if self._failed:
            raise Unavailable("the issuer of tokens does not tell its keys")

    def _begin(self) -> None:
        """Ask the issuer, unless that was done just now."""
        if self._asking is None and self._clock() - self._asked_at >= PAUSE_SECONDS:
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._refresh())

    async def _ask(self) -> None:
        """Ask the issuer as `_begin` does, and wait for what is under way."""
        self._begin()
        if self._asking is not None:
            await asyncio.shield(self._asking)

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(2 * FETCH_SECONDS):
                told = await self._fetch(await self._place())
            if told != self._told:
                self._known, self._told = read_keys(told), told
                self.generation += 1
            self._fetched_at = self._clock()
            self._failed = False
        except (FetchError, TimeoutError) as error:
            self._failed = True
            _log.warning("keys of the token issuer not fetched", why=str(error) or "too slow")
        finally:
            self._asking = None

    async def _place(self) -> str:
        """Where the keys are: configured, or told by the issuer's own document."""
        if self._issuer.keys_url is not None:
            return self._issuer.keys_url
        url = self._issuer.url.rstrip("/") + "/.well-known/openid-configuration"
        told = _object(await self._fetch(url))
        if told.get("issuer") not in self._issuer.names:
            raise FetchError("its configuration is that of another issuer")
        place = told.get("jwks_uri")
        if not isinstance(place, str) or not may_fetch(place):
            raise FetchError("its configuration names no https address of keys")
        return place


def read_keys(text: bytes) -> tuple[SigningKey, ...]:
    """The usable keys of a JSON Web Key Set (RFC 7517 §5). Raises FetchError if it is none."""
    listed = _object(text).get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise FetchError(f"it tells no set of at most {MAX_KEYS} keys")
    return tuple(key for item in listed if (key := _read_key(item)) is not None)


def _read_key(item: Any) -> SigningKey | None:
    """A key that may verify tokens, None for any other; private parts are left out."""
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    kind, name = item.get("kty"), item.get("kid", "")
    if not isinstance(kind, str) or kind not in ALGORITHMS or not isinstance(name, str):
        return None
    algorithm = ALGORITHMS[kind]
    if item.get("alg", algorithm) != algorithm:
        return None
    if kind == "EC" and item.get("crv") != "P-256":
        return None
    try:
        made = PyJWK({part: item.get(part) for part in _PUBLIC[kind]}, algorithm).key
    except (PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if isinstance(made, RSAPublicKey) and made.key_size < _RSA_BITS:
        return None
    return SigningKey(name, algorithm, made)


def _object(text: bytes) -> dict[str, Any]:
    try:
        return parse_json_object(text)
    except EngineError as error:
        raise FetchError("it does not answer with a JSON object") from error


async def fetch_bounded(url: str) -> bytes:
    """The body of a GET, within bounds of time and size, without redirects. Raises FetchError."""
    client = await asyncio.to_thread(_client)
    try:
        async with client, client.stream("GET", url) as response:
            if response.status_code != 200:
                raise FetchError(f"it answers with status {response.status_code}")
            chunks, size = [], 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise FetchError(f"it answers with more than {MAX_BYTES} bytes")
                chunks.append(chunk)
    except (OSError, RuntimeError, ValueError, _http_error()) as error:
        raise FetchError(type(error).__name__) from error
    return b"".join(chunks)


def _client() -> Any:
    """A client of its own, made beside the event loop: it reads certificates from files."""
    import httpx  # noqa: PLC0415 - few servers need it

    return httpx.AsyncClient(
        timeout=FETCH_SECONDS, follow_redirects=False, headers={"accept": "application/json"}
    )


def _http_error() -> type[Exception]:
    import httpx  # noqa: PLC0415 - it is here already

    return httpx.HTTPError
