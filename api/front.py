"""What stands around every call: request id, bounds, keys, the problem document, one count.

Plain ASGI, one object per application. The native API's calls are found and answered here, in
front of FastAPI, which keeps the documents and the service's own pages.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

import structlog

from api.asgi import (
    ABORT,
    REQUEST_ID,
    Answer,
    ClientGone,
    Header,
    Message,
    Patience,
    Receive,
    Scope,
    Send,
    send_answer,
)
from api.auth import ANYONE, Principal, bearer
from api.calls import Call, Operation
from api.errors import (
    TABLE,
    CallFailed,
    Forbidden,
    HeadersTooLarge,
    MethodNotAllowed,
    Overloaded,
    RouteNotFound,
    TooManyStreams,
    Unauthorized,
    UrlTooLong,
    WriteFailed,
    render_problem,
)
from api.native.operations import Routes
from api.native.streaming import SlowReader
from api.settings import Settings
from api.telemetry import Metrics
from engine.engine import Engine
from engine.errors import EngineError, InvalidRequest, StoreNotFound
from engine.store.protocol import STORE_NAME

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_ONCE = (
    b"authorization",
    b"content-type",
    b"content-encoding",
    b"content-length",
    b"idempotency-key",
    b"last-event-id",
    b"x-request-id",
    b"x-stonetown-deadline-ms",
)
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)
_NO_CONTENT: tuple[Header, ...] = (
    *_HEADERS,
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_PAGE: tuple[Header, ...] = (
    *_HEADERS,
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_FRAMES = 30
GONE_STATUS = 499
"""What a request is counted under whose client left before the answer."""


class Exchange:
    """One request as it is answered: what the log and the metrics will say of it."""

    __slots__ = ("call", "request_id", "started", "status", "stream", "writes")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.call = "other"
        self.status = 0
        self.started = False
        self.stream = False
        self.writes = False


class Front:
    """Answers the native API's calls, and hands the rest to `inner`."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        metrics: Metrics,
        inner: Callable[[Scope, Receive, Send], Any],
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._metrics = metrics
        self._inner = inner
        self._keyring = settings.keyring
        self._routes = Routes()
        self._in_flight = 0
        self._streams: Counter[str] = Counter()
        self._open_streams = 0
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        self._log = structlog.get_logger("stonetown").bind()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every watch with the zookie to resume from; other calls finish as they are."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        headers = dict(scope["headers"])
        exchange = Exchange(self._request_id(headers))
        begun = perf_counter()
        wrapped = _sender(exchange, send, page=scope["path"] == "/docs")
        try:
            await self._bounded(exchange, scope, receive, wrapped, headers)
        except EngineError as error:
            await self._refuse(exchange, wrapped, error)
        except (ClientGone, SlowReader) as error:
            exchange.status = GONE_STATUS
            self._log.debug("client gone", request_id=exchange.request_id, why=type(error).__name__)
            await _drop(scope)
        except Exception as error:  # noqa: BLE001 - the last resort: a client is never left alone
            # As text without local variables, whatever the log is configured to show.
            trace = "".join(traceback.format_exception(error, limit=-_FRAMES))
            self._log.error(
                "request failed",
                request_id=exchange.request_id,
                call=exchange.call,
                exception=trace,
            )
            failed = WriteFailed if exchange.writes else CallFailed
            await self._refuse(exchange, wrapped, failed("the service failed"))
        self._account(exchange, perf_counter() - begun)

    async def _bounded(
        self,
        exchange: Exchange,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[bytes, bytes],
    ) -> None:
        """Keys first, then bounds, then the call itself."""
        path = scope["path"]
        principal = self._authenticate(path, headers)
        self._check_headers(scope, headers)
        if not path.startswith("/v1/"):
            exchange.call = "service"
            scope[REQUEST_ID] = exchange.request_id
            await self._inner(scope, receive, send)
            return
        operation, store = self._find(path, scope["method"])
        exchange.call, exchange.writes = operation.name, operation.writes
        _authorize(principal, operation, store)
        call = Call(
            operation,
            self._engine,
            self._settings,
            self._metrics,
            scope,
            receive,
            send,
            headers,
            principal,
            store,
            exchange.request_id,
            self._stopping.wait,
        )
        call.choose_deadline()
        exchange.stream = call.streams
        if call.streams:
            await self._stream(call)
        else:
            await self._answer(call)

    async def _answer(self, call: Call) -> None:
        if self._in_flight >= self._settings.max_in_flight:
            raise Overloaded("too many requests are under way")
        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            with Patience(self._settings.read_timeout) as patience:
                call.patience = patience
                answer = await call.operation.handler(call)
            assert answer is not None
            await send_answer(call.send, answer)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()

    async def _stream(self, call: Call) -> None:
        name = call.principal.name
        if self._open_streams >= self._settings.max_streams:
            raise Overloaded("too many streams are open")
        if self._streams[name] >= self._settings.max_streams_per_key:
            raise TooManyStreams("too many streams are open under this key")
        self._open_streams += 1
        self._streams[name] += 1
        self._metrics.streams.inc()
        try:
            answer = await call.operation.handler(call)
            if answer is not None:
                await send_answer(call.send, answer)
        finally:
            self._open_streams -= 1
            self._streams[name] -= 1
            self._metrics.streams.dec()

    def _authenticate(self, path: str, headers: Mapping[bytes, bytes]) -> Principal:
        if not self._keyring or path in OPEN_PATHS:
            return ANYONE
        principal = self._keyring.find(bearer(headers.get(b"authorization", b"")))
        if principal is None:
            raise Unauthorized("no valid key", expected="`Authorization: Bearer <key>`")
        return principal

    def _check_headers(self, scope: Scope, headers: Mapping[bytes, bytes]) -> None:
        pairs = scope["headers"]
        settings = self._settings
        if sum(len(name) + len(value) for name, value in pairs) > settings.max_headers:
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
        if len(scope["raw_path"]) + len(scope["query_string"]) > settings.max_url:
            raise UrlTooLong(
                "path and query are too long", expected=f"at most {settings.max_url} bytes"
            )

    def _find(self, path: str, method: str) -> tuple[Operation, str]:
        methods, store = self._routes.find(path)
        if methods is None:
            raise RouteNotFound("no such path")
        operation = methods.get(method)
        if operation is None:
            raise MethodNotAllowed("not a method of this path", allow=sorted(methods))
        if store and not STORE_NAME.fullmatch(store):
            raise StoreNotFound(
                "not a store's name", field="store", expected="`[a-z][a-z0-9-]{0,62}`"
            )
        return operation, store

    def _request_id(self, headers: Mapping[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id")
        if given is not None and _REQUEST_ID.fullmatch(given):
            return given.decode("ascii")
        return f"{self._prefix}-{next(self._numbers):x}"

    async def _refuse(self, exchange: Exchange, send: Send, error: EngineError) -> None:
        if exchange.started:
            self._log.warning("stream cut", request_id=exchange.request_id, code=error.code)
            return
        if TABLE[type(error)].status >= 500:
            self._log.warning(
                "request refused",
                request_id=exchange.request_id,
                call=exchange.call,
                code=error.code,
                why=error.message,
            )
        problem = render_problem(error, exchange.request_id)
        await send_answer(send, Answer(*problem))

    def _account(self, exchange: Exchange, seconds: float) -> None:
        status = exchange.status or GONE_STATUS
        self._metrics.request(exchange.call, status, seconds, stream=exchange.stream)
        slow = seconds > self._settings.slow_request and not exchange.stream
        tell = self._log.warning if slow else self._log.debug
        tell(
            "slow request" if slow else "request",
            request_id=exchange.request_id,
            call=exchange.call,
            status=status,
            ms=round(seconds * 1000, 3),
        )


def _sender(exchange: Exchange, send: Send, *, page: bool) -> Send:
    """`send` that adds the headers of every response, and notes what was sent."""

    fixed = _PAGE if page else _NO_CONTENT
    named = (b"x-request-id", exchange.request_id.encode())

    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.started = True
            exchange.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *fixed, named]
        await send(message)

    return add


async def _drop(scope: Scope) -> None:
    """Drop the connection: closing it would wait for a reader that takes nothing."""
    abort = scope.get(ABORT)
    if abort is not None:
        abort()
        await asyncio.sleep(0)  # the server is told of the loss before it looks for an answer


def _authorize(principal: Principal, operation: Operation, store: str) -> None:
    if operation.right not in principal.rights:
        raise Forbidden(
            f"the key lacks the right `{operation.right}`", expected="a key with this right"
        )
    if store and not principal.sees(store):
        raise Forbidden("the key's stores do not include this one", field="store")
