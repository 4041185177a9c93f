"""Who calls, and whether what they sent is within bounds: asked before every call."""

from __future__ import annotations

import itertools
import re
import secrets
from collections import Counter
from collections.abc import Mapping

from api.asgi import Header
from api.auth import ANYONE, Principal, bearer
from api.calls import Operation
from api.errors import Forbidden, HeadersTooLarge, Unauthorized, UrlTooLong
from api.oidc.verifier import Verifier
from api.settings import Settings
from engine.errors import InvalidRequest

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_ONCE = (
    b"authorization",
    b"content-type",
    b"content-encoding",
    b"content-length",
    b"idempotency-key",
    b"last-event-id",
    b"openfga-authorization-model-id",
    b"stonetown-id",
    b"stonetown-zookie",
    b"x-request-id",
    b"x-stonetown-deadline-ms",
)


class Guard:
    """Knows keys, tokens and bounds, by the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keyring = settings.keyring
        self._verifier = None if settings.oidc is None else Verifier(settings.oidc)
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def request_id(self, headers: Mapping[bytes, bytes]) -> str:
        """The client's own, if it is plain, or a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):08x}"

    def recognise(self, path: str, headers: Mapping[bytes, bytes]) -> Principal | None:
        """Who calls, None if that takes `verify`. Raises Unauthorized."""
        if path in OPEN_PATHS or not (self._keyring or self._verifier):
            return ANYONE
        presented = bearer(headers.get(b"authorization", b""))
        principal = self._keyring.find(presented)
        if principal is not None:
            return principal
        if self._verifier is None or not presented:
            expected = "`Authorization: Bearer <key>`"
            raise Unauthorized("no valid key", expected=expected, presented=bool(presented))
        return self._verifier.known(presented)

    async def verify(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Whose token it is. Raises as `Verifier.verify`."""
        assert self._verifier is not None  # or the caller is known, or refused
        return await self._verifier.verify(bearer(headers[b"authorization"]))

    def check_headers(
        self, pairs: list[Header], headers: Mapping[bytes, bytes], url_length: int
    ) -> None:
        """Raises HeadersTooLarge, UrlTooLong, and InvalidRequest for a header that stands twice."""
        settings = self._settings
        size = 0
        for name, value in pairs:
            size += len(name) + len(value)
        if size > settings.max_headers:
            raise HeadersTooLarge(
                "the headers are too large", expected=f"at most {settings.max_headers} bytes"
            )
        if len(headers) != len(pairs):
            counts = Counter(name for name, _ in pairs)
            for name in _ONCE:
                if counts[name] > 1:
                    raise InvalidRequest(
                        "the header stands twice", field=name.decode(), expected="it once"
                    )
        if url_length > settings.max_url:
            raise UrlTooLong(
                "path and query are too long", expected=f"at most {settings.max_url} bytes"
            )


def authorize(principal: Principal, operation: Operation, store: str) -> None:
    """Raises Forbidden unless the principal may have this call about this store."""
    if operation.right not in principal.rights:
        raise Forbidden(
            f"the key lacks the right `{operation.right}`", expected="a key with this right"
        )
    if store and not principal.sees(store):
        raise Forbidden("the key's stores do not include this one", field="store")
