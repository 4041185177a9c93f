"""One Stonetown server as the commands see it: paths in, JSON out, every refusal a Failure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from api.cli.failure import ExitCode, Failure, hint_of
from api.cli.options import DEFAULT_TIMEOUT, DEFAULT_URL, Options

JsonObject = dict[str, Any]
NDJSON = "application/x-ndjson"
_WRONG_INPUT = frozenset({400, 413, 414, 415, 431})
_UNAVAILABLE = frozenset({408, 429})
_HINTS = {
    401: "give the key's secret as STONETOWN_TOKEN or --token",
    403: "this key may not do that; `stonetown key new --help` lists the rights",
}
_CODE_HINTS = {
    "empty_filter": "say which tuples; `stonetown export` gives all of them",
    "store_not_found": "`stonetown store list` shows the stores; `--store` chooses one",
    "schema_not_found": "write one with `stonetown schema write FILE`",
    "snapshot_expired": "the zookie lies before the history window; ask without it",
    "zookie_unknown": "the zookie is of another store or of one since restored; ask without it",
}


class Server:
    """Calls to one server. `close` it, or use it in a `with`."""

    def __init__(self, options: Options) -> None:
        self.url = (options.url or DEFAULT_URL).rstrip("/")
        self.store = options.store or "default"
        self._timeout = options.timeout or DEFAULT_TIMEOUT
        headers = {"Accept": "application/json"}
        if options.token:
            headers["Authorization"] = f"Bearer {_header(options.token)}"
        try:
            parsed = httpx.URL(self.url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise Failure(
                f"`{self.url[:80]}` is not a server's address",
                hint=f"expected http:// or https:// and a host, as in {DEFAULT_URL}",
            )
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=self._timeout)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def store_path(self, rest: str = "") -> str:
        """The path of the store in use, or of one of its calls."""
        return f"/v1/stores/{quote(self.store, safe='')}{rest}"

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        lines: bytes | None = None,
    ) -> JsonObject:
        """One request with a JSON `body` or NDJSON `lines`, and its JSON answer.

        Raises Failure: USAGE when the server found the input wrong, REFUSED when it will not do
        it, UNAVAILABLE when there was no answer or a retry may succeed.
        """
        sent = dict(headers or {})
        content = lines
        if lines is not None:
            sent["Content-Type"] = NDJSON
        elif body is not None:
            sent["Content-Type"] = "application/json"
            content = _encoded(body)
        with self._answering():
            response = self._http.request(
                method, path, content=content, params=parameters, headers=sent
            )
        if not response.is_success:
            raise self._answered(response)
        if not response.content:
            return {}
        return self._object(response.content)

    @contextmanager
    def stream(
        self,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: object = None,
        *,
        silence: float | None = None,
    ) -> Iterator[tuple[Mapping[str, str], Iterator[JsonObject]]]:
        """The headers and the JSON lines of a GET, or of a POST with a JSON `body`, as they come.

        `silence` is the longest wait for the next line, in seconds; the shared timeout if absent.

        Raises Failure like `call`; a connection lost on the way is UNAVAILABLE.
        """
        timeout = httpx.Timeout(self._timeout, read=silence or self._timeout)
        sent, content = {"Accept": NDJSON}, None
        if body is not None:
            sent["Content-Type"], content = "application/json", _encoded(body)
        method = "GET" if body is None else "POST"
        request = self._http.stream(
            method, path, params=parameters, content=content, headers=sent, timeout=timeout
        )
        with self._answering(), request as response:
            if not response.is_success:
                response.read()
                raise self._answered(response)
            yield response.headers, map(self._object, filter(None, _split(response)))

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise Failure(
                f"no server answers at {self.url}",
                exit_code=ExitCode.UNAVAILABLE,
                code="no_server",
                hint="start one with `make serve` or `stonetown serve`, or name another "
                "with --url or STONETOWN_URL",
            ) from None
        except httpx.TimeoutException:
            raise Failure(
                f"the server at {self.url} gave no answer in {self._timeout:g} s",
                exit_code=ExitCode.UNAVAILABLE,
                code="timeout",
                hint="try again, or allow more time with --timeout SECONDS",
            ) from None
        except httpx.HTTPError as error:
            raise Failure(
                f"the connection to {self.url} broke: {str(error) or type(error).__name__}",
                exit_code=ExitCode.UNAVAILABLE,
                code="connection",
                hint="try again; `curl " + self.url + "/healthz` shows whether it is up",
            ) from None

    def _object(self, content: bytes | str) -> JsonObject:
        try:
            value = json.loads(content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Failure(
                f"what answers at {self.url} is not a Stonetown server",
                exit_code=ExitCode.UNAVAILABLE,
                code="not_stonetown",
                hint="check --url and STONETOWN_URL",
            )
        return value

    def _answered(self, response: httpx.Response) -> Failure:
        """The Failure for a problem document, or for whatever else a proxy answered."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if isinstance(problem, dict):
            return self.refusal(problem, response.status_code)
        status = response.status_code
        return Failure(
            f"the server at {self.url} answered {status} {response.reason_phrase}",
            exit_code=_exit_code(status),
            code=f"http_{status}",
            details={"status": status},
        )

    def refusal(self, problem: JsonObject, status: int | None = None) -> Failure:
        """The Failure that a problem document tells."""
        known = status or int(problem.get("status") or 500)
        code = str(problem.get("code") or f"http_{known}")
        message = str(problem.get("detail") or problem.get("title") or f"answered {known}")
        if problem.get("field"):
            message = f"{problem['field']}: {message}"
        named = [f"  {item}" for item in problem.get("tuples") or ()]
        message = "\n".join([message, *named, *map(_listed, problem.get("errors") or ())])
        hint = _HINTS.get(known) or _CODE_HINTS.get(code, "")
        if problem.get("expected") and known in _WRONG_INPUT and not hint:
            hint = hint_of(str(problem["expected"]))
        return Failure(
            message,
            exit_code=_exit_code(known),
            code=code,
            hint=hint,
            details={"status": known, "problem": problem},
        )


def _encoded(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _split(response: httpx.Response) -> Iterator[bytes]:
    """Lines by `\n` alone: ids may hold what Python's `splitlines` takes for a line's end."""
    rest = b""
    for chunk in response.iter_bytes():
        pieces = (rest + chunk).split(b"\n")
        rest = pieces.pop()
        yield from pieces
    yield rest


def _listed(problem: Mapping[str, Any]) -> str:
    """One entry of a problem document's `errors`: of a schema text, or of a body."""
    if "line" in problem:
        text = f"{problem['line']}:{problem.get('column', 1)}: {problem.get('message')}"
    else:
        text = f"{problem.get('field')}: {problem.get('message')}"
        text += f"; expected {problem['expected']}" if problem.get("expected") else ""
    if problem.get("caret"):
        text += f"\n{problem['caret']}"
    if problem.get("suggestion"):
        text += f"\ndid you mean `{problem['suggestion']}`?"
    return text


def _exit_code(status: int) -> ExitCode:
    if status in _WRONG_INPUT:
        return ExitCode.USAGE
    if status >= 500 or status in _UNAVAILABLE:
        return ExitCode.UNAVAILABLE
    return ExitCode.REFUSED


def _header(token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise Failure("the token holds characters that no key has", hint="copy it again, whole")
    return token
