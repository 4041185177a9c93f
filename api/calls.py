"""A call of the API as its handler sees it, and the description that routes are made from.

A handler parses, asks the engine and renders; everything around it (keys, bounds, problems,
metrics) is done once, in `api.front`, from the `Operation` that names it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from pydantic import BaseModel

from api.asgi import Answer, Patience, Receive, Scope, Send, read_body
from api.auth import Principal, Right
from api.errors import Failure, ProblemAnswer, UnsupportedMediaType, render_problem
from api.settings import Settings
from api.telemetry import Metrics
from engine.engine import Engine
from engine.errors import EngineError, InvalidRequest
from engine.jsontext import parse_json
from engine.requests import Check, CheckAnswer, Consistency, Overlay

_PLAIN_JSON = b"application/json"
_JSON = re.compile(rb'application/json(?:;\s*charset="?utf-8"?)?', re.IGNORECASE)
_DEADLINE = re.compile(rb"[1-9][0-9]{0,8}")
_IDEMPOTENCY_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
_MAX_QUERY_FIELDS = 50


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: where it is, what it needs, what answers it, and how it is documented.

    `path` is relative to the store (`/check`), or absolute for the calls about stores. A `stream`
    sends its own response; any other handler returns an Answer. One with `lines` does either: it
    is a stream for those who accept lines of JSON. `variant` is the other form that an answer has.
    `problem` tells what it refuses; one that `echoes` answers with the client's own request id.
    `question` reads the one check that a call is from its body.
    """

    name: str
    method: str
    path: str
    right: Right
    handler: Callable[[Call], Awaitable[Answer | None]]
    summary: str
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    writes: bool = False
    stream: bool = False
    lines: bool = False
    idempotent: bool = False
    variant: type[BaseModel] | None = None
    problem: Callable[[Failure, str], ProblemAnswer] = render_problem
    echoes: bool = False
    question: Callable[[Call, bytes], Question] | None = None


class Question(NamedTuple):
    """One check as a call asks it. `told` makes its answer, and raises what refuses it."""

    check: Check
    consistency: Consistency
    overlay: Overlay | None
    told: Callable[[Call, CheckAnswer | EngineError], Answer]

    async def asked(self, call: Call) -> Answer:
        """Ask it now, and answer. Raises what `told` raises."""
        found: CheckAnswer | EngineError
        try:
            found = await call.engine.check(
                call.store,
                self.check,
                self.consistency,
                deadline=call.deadline,
                overlay=self.overlay,
            )
        except EngineError as error:
            found = error
        return self.told(call, found)


@dataclass(slots=True)
class Call:
    """One request to one Operation. `store` is "" for the calls about stores."""

    operation: Operation
    engine: Engine
    settings: Settings
    metrics: Metrics
    scope: Scope
    receive: Receive
    send: Send
    headers: Mapping[bytes, bytes]
    principal: Principal
    store: str
    request_id: str
    stopping: Callable[[], Awaitable[Any]]
    deadline: float = 0.0
    patience: Patience | None = None
    body: bytes | None = None
    """The body, if it is here already: then the deadline runs already, too."""

    @property
    def streams(self) -> bool:
        """Whether the answer is a stream."""
        operation = self.operation
        return operation.stream or (operation.lines and accepts_lines(self.headers))

    async def json(self) -> Any:
        """The body as strict JSON; from here on the deadline runs.

        Raises UnsupportedMediaType, BodyTooLarge and InvalidRequest.
        """
        return parse_json(await self.text())

    async def text(self) -> bytes:
        """The body as it came, which says that it is JSON; from here on the deadline runs.

        Raises UnsupportedMediaType and BodyTooLarge.
        """
        if self.body is not None:
            return self.text_here()
        self._expect_json()
        body = await read_body(self.receive, self.settings.max_body)
        self.begin_work()
        return body

    def text_here(self) -> bytes:
        """As `text`, of a call whose body is here. Raises UnsupportedMediaType."""
        assert self.body is not None
        self._expect_json()
        return self.body

    def _expect_json(self) -> None:
        if self.headers.get(b"content-type") != _PLAIN_JSON or b"content-encoding" in self.headers:
            self.expect_type(_JSON, "application/json")

    async def no_body(self) -> None:
        """For a call without a body: the deadline runs. Raises InvalidRequest if there is one."""
        body = self.body
        if body is None:
            with Patience(self.settings.read_timeout):
                body = await read_body(self.receive, self.settings.max_body)
            self.begin_work()
        if body:
            raise InvalidRequest("this call takes no body", field="body", expected="no body")

    def begin_work(self) -> None:
        """Let the deadline run, and watch whether the client leaves."""
        if self.patience is not None:
            self.patience.begin_work(self.receive, self.deadline, writes=self.operation.writes)

    def expect_type(self, pattern: re.Pattern[bytes], expected: str) -> None:
        """Raises UnsupportedMediaType unless `Content-Type` is what the call takes."""
        if not pattern.fullmatch(self.headers.get(b"content-type", b"").strip()):
            raise UnsupportedMediaType(
                "not a content type of this call", field="Content-Type", expected=expected
            )
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMediaType(
                "encoded bodies are not taken", field="Content-Encoding", expected="no encoding"
            )

    def query(self) -> dict[str, str]:
        """The query string. Raises InvalidRequest for a name that is unknown or stands twice."""
        text = self.scope["query_string"]
        if not text:
            return {}
        known = self.operation.query
        try:
            pairs = parse_qsl(
                text.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise InvalidRequest(
                "not a query string", field="query", expected="name=value, joined by `&`, in UTF-8"
            ) from None
        found: dict[str, str] = {}
        for name, value in pairs:
            if name not in known or name in found:
                raise InvalidRequest(
                    "it stands twice" if name in found else "no such parameter",
                    field=f"query.{name[:64]}" if name.isprintable() else "query",
                    expected=f"each at most once of: {', '.join(known) or 'none'}",
                    code="invalid_request" if name in found else "unknown_field",
                )
            found[name] = value
        return found

    def idempotency_key(self) -> str:
        """The `Idempotency-Key` header, "" when absent. Raises InvalidRequest."""
        value = self.headers.get(b"idempotency-key")
        if value is None:
            return ""
        if not _IDEMPOTENCY_KEY.fullmatch(value):
            raise InvalidRequest(
                "not an idempotency key",
                field="Idempotency-Key",
                expected="1 to 255 printable ASCII characters without spaces",
            )
        return value.decode("ascii")

    def choose_deadline(self) -> None:
        """The configured deadline, or a lower one that the client asked for.

        Raises InvalidRequest for a header that is not a number.
        """
        self.deadline = self.settings.deadline
        value = self.headers.get(b"x-stonetown-deadline-ms")
        if value is None:
            return
        if not _DEADLINE.fullmatch(value):
            raise InvalidRequest(
                "not a number of milliseconds",
                field="X-Stonetown-Deadline-Ms",
                expected="a whole number from 1",
            )
        self.deadline = min(self.deadline, int(value) / 1000)


def accepts_lines(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client asks for lines of JSON."""
    return b"application/x-ndjson" in headers.get(b"accept", b"").lower()
