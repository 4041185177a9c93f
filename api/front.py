"""What stands around every call: request id, bounds, keys, the problem document, one count.

Plain ASGI, one object per application. The calls of every dialect are answered here, in front of
FastAPI, which keeps the documents and the service's own pages.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from time import perf_counter
from typing import Any

import structlog

from api.asgi import (
    ABORT,
    REQUEST_ID,
    Answer,
    ClientGone,
    Ending,
    Patience,
    Receive,
    Scope,
    Send,
    send_answer,
)
from api.auth import Principal
from api.calls import Call, Operation
from api.errors import (
    CallFailed,
    Failure,
    Overloaded,
    TooManyStreams,
    WriteFailed,
)
from api.exchange import FIXED_LINES, GONE_STATUS, Exchange, sender
from api.guard import Guard, authorize
from api.routing import Route, Routing
from api.settings import Settings
from api.streaming import SlowReader
from api.telemetry import Metrics
from api.whole import NO_ASGI, Deadlines, Whole
from engine.engine import Engine
from engine.telling import Found

_LARGEST_QUESTION = 4_000
"""Bytes of a body that is read, perhaps in vain, to ask its check together with others."""
_FRAMES = 30


class Front:
    """Answers the calls of every dialect, and hands the rest to `inner`."""

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
        self._guard = Guard(settings)
        self._routing = Routing()
        self._in_flight = 0
        self._streams: Counter[str] = Counter()
        self._open_streams = 0
        self._log = structlog.get_logger("stonetown").bind()
        self._stopping = asyncio.Event()
        self._deadlines = Deadlines()
        self.max_body = settings.max_body
        self.draining = False
        self._slow = settings.slow_request
        # At any other level `debug` does nothing, which it takes its time for.
        self._tells_all = logging.getLogger().isEnabledFor(logging.DEBUG)

    @property
    def streaming(self) -> Collection[str]:
        """Whose streams are open."""
        return self._streams.keys()

    def stop(self) -> None:
        """End every watch with the zookie to resume from; other calls finish as they are."""
        self._stopping.set()

    def route(self, method: bytes, url: bytes) -> Route | None:
        """The call and the store that a request line means, if it can be answered as a whole."""
        return self._routing.at_once(method, url)

    def answer(self, request: Whole) -> None:
        """Have a request answered that is here as a whole."""
        if not self._ask(request):
            request.begin(self._alone(request))

    def _ask(self, request: Whole) -> bool:
        """Ask what the request asks together with others, if it can be asked so."""
        question_of, headers = request.operation.question, request.headers
        if question_of is None or len(request.body) > _LARGEST_QUESTION:
            return False
        if self._in_flight >= self._settings.max_in_flight:
            return False
        exchange = Exchange(self._guard.request_id(headers))
        begun = perf_counter()
        try:
            principal = self._guard.recognise("", headers)
            if principal is None:
                return False
            self._guard.check_headers(request.pairs, headers, len(request.url))
            call = self._call(
                exchange, principal, request.operation, request.store, headers, NO_ASGI
            )
            call.body = request.body
            question = question_of(call, call.text_here())
        except Exception:  # noqa: BLE001 - whatever it is, it is told where it is asked alone
            return False
        if request.operation.echoes:
            exchange.echo(headers)
        exchange.problem = request.operation.problem

        def told(found: Found) -> None:
            self._leave()
            if found is None:
                request.begin(self._alone(request))
                return
            answer: Answer | None
            try:
                answer = question.told(call, found)
            except Exception as error:  # noqa: BLE001 - the last resort, as in `_whole`
                answer = self._failed(exchange, error)
            self._end(exchange, request, answer, begun)

        asked = self._engine.together.ask(
            call.store,
            question.check,
            question.consistency,
            told,
            deadline=call.deadline,
            overlay=question.overlay,
        )
        if asked:
            self._enter()
        return asked

    async def _alone(self, request: Whole) -> None:
        """Answer a request, whatever happens."""
        exchange = Exchange(self._guard.request_id(request.headers))
        exchange.problem = request.operation.problem
        if request.operation.echoes:
            exchange.echo(request.headers)
        begun = perf_counter()
        answer: Answer | None
        try:
            answer = await self._whole(exchange, request)
        except Exception as error:  # noqa: BLE001 - the last resort: a client is never left alone
            answer = self._failed(exchange, error)
        except BaseException:  # the process ends
            request.drop()
            raise
        self._end(exchange, request, answer, begun)

    def _end(self, exchange: Exchange, request: Whole, answer: Answer | None, begun: float) -> None:
        if answer is None:
            exchange.status = GONE_STATUS
            request.drop()
        else:
            exchange.status = GONE_STATUS if request.disconnected else answer.status
            request.respond(answer, FIXED_LINES, exchange.shown)
        self._account(exchange, perf_counter() - begun)

    async def _whole(self, exchange: Exchange, request: Whole) -> Answer:
        if request.disconnected:
            raise ClientGone
        headers, operation = request.headers, request.operation
        principal = self._guard.recognise("", headers) or await self._verify(headers)
        self._guard.check_headers(request.pairs, headers, len(request.url))
        call = self._call(exchange, principal, operation, request.store, headers, NO_ASGI)
        call.body = request.body
        self._enter()
        try:
            with Ending() as ending:
                request.ending = ending
                self._deadlines.add(ending, call.deadline, writes=operation.writes)
                try:
                    answer = await operation.handler(call)
                finally:
                    self._deadlines.remove(ending)
        finally:
            request.ending = None
            self._leave()
        assert answer is not None
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        headers = dict(scope["headers"])
        exchange = Exchange(self._guard.request_id(headers))
        begun = perf_counter()
        wrapped = sender(exchange, send, page=scope["path"] == "/docs")
        try:
            await self._bounded(exchange, scope, receive, wrapped, headers)
        except Exception as error:  # noqa: BLE001 - the last resort: a client is never left alone
            answer = self._failed(exchange, error)
            if answer is None:
                exchange.status = GONE_STATUS
                await _drop(scope)
            elif not exchange.started:
                await send_answer(wrapped, answer)
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
        dialect = self._routing.dialect(path)
        if dialect is not None:
            exchange.problem = dialect.problem
            if dialect.echoes:
                exchange.echo(headers)
        principal = self._guard.recognise(path, headers) or await self._verify(headers)
        length = len(scope["raw_path"]) + len(scope["query_string"])
        self._guard.check_headers(scope["headers"], headers, length)
        if dialect is None:
            exchange.call = "service"
            scope[REQUEST_ID] = exchange.request_id
            await self._inner(scope, receive, send)
            return
        operation, store = dialect.find(path, scope["method"])
        call = self._call(exchange, principal, operation, store, headers, (scope, receive, send))
        exchange.stream = call.streams
        if call.streams:
            await self._stream(call)
        else:
            await self._answer(call)

    def _call(
        self,
        exchange: Exchange,
        principal: Principal,
        operation: Operation,
        store: str,
        headers: Mapping[bytes, bytes],
        asgi: tuple[Scope, Receive, Send],
    ) -> Call:
        """The call that a request is, if its key may have it."""
        exchange.call, exchange.writes = operation.name, operation.writes
        principal = principal.asking(operation.right, store)
        authorize(principal, operation, store)
        call = Call(
            operation,
            self._engine,
            self._settings,
            self._metrics,
            *asgi,
            headers,
            principal,
            store,
            exchange.request_id,
            self._stopping.wait,
        )
        call.choose_deadline()
        return call

    def _enter(self) -> None:
        if self._in_flight >= self._settings.max_in_flight:
            raise Overloaded("too many requests are under way")
        self._in_flight += 1
        self._metrics.in_flight = self._in_flight

    def _leave(self) -> None:
        self._in_flight -= 1
        self._metrics.in_flight = self._in_flight

    async def _answer(self, call: Call) -> None:
        self._enter()
        try:
            with Patience(self._settings.read_timeout) as patience:
                call.patience = patience
                answer = await call.operation.handler(call)
            assert answer is not None
            await send_answer(call.send, answer)
        finally:
            self._leave()

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
            if not self._streams[name]:
                del self._streams[name]  # there may be ever new subjects of tokens
            self._metrics.streams.dec()

    async def _verify(self, headers: Mapping[bytes, bytes]) -> Principal:
        """Whose token it is. Raises as `Guard.verify`."""
        self._enter()  # the issuer may take its time
        try:
            return await self._guard.verify(headers)
        finally:
            self._leave()

    def _failed(self, exchange: Exchange, error: Exception) -> Answer | None:
        """The problem document of an error, None if nobody is left to read it."""
        if isinstance(error, (ClientGone, SlowReader)):
            self._log.debug("client gone", request_id=exchange.request_id, why=type(error).__name__)
            return None
        if not isinstance(error, Failure):
            # As text without local variables, whatever the log is configured to show.
            trace = "".join(traceback.format_exception(error, limit=-_FRAMES))
            self._log.error(
                "request failed",
                request_id=exchange.request_id,
                call=exchange.call,
                exception=trace,
            )
            error = (WriteFailed if exchange.writes else CallFailed)("the service failed")
        told = Answer(*exchange.problem(error, exchange.request_id))
        if exchange.started:
            self._log.warning("stream cut", request_id=exchange.request_id, code=error.code)
        elif told.status >= 500:
            self._log.warning(
                "request refused",
                request_id=exchange.request_id,
                call=exchange.call,
                code=error.code,
                why=error.message,
            )
        return told

    def _account(self, exchange: Exchange, seconds: float) -> None:
        status = exchange.status or GONE_STATUS
        self._metrics.request(exchange.call, status, seconds, stream=exchange.stream)
        slow = seconds > self._slow and not exchange.stream
        if not slow and not self._tells_all:
            return
        tell = self._log.warning if slow else self._log.debug
        tell(
            "slow request" if slow else "request",
            request_id=exchange.request_id,
            call=exchange.call,
            status=status,
            ms=round(seconds * 1000, 3),
        )


async def _drop(scope: Scope) -> None:
    """Drop the connection: closing it would wait for a reader that takes nothing."""
    abort = scope.get(ABORT)
    if abort is not None:
        abort()
        await asyncio.sleep(0)  # the server is told of the loss before it looks for an answer
