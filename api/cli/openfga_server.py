"""A server that speaks OpenFGA's API, as an import sees it: the one it reads, and the one it fills.

Every call here may be made again: what is written is written as it stands, whatever was there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from api.cli.failure import ExitCode, Failure

Json = dict[str, Any]
PAGE = 100
"""Items of a page, and tuples of a write: what OpenFGA takes unless configured."""

_ATTEMPTS = 5
_LONGEST_WAIT = 10.0
_EXISTS = "already_exists"
_CONFLICT = "Aborted"
_TOO_MANY = 429
_WRONG_INPUT = 400
_NOT_FOUND = 404
_FAULT = 500


class FgaServer:
    """One server, `close` it or use it in a `with`. `role` is what messages call it."""

    def __init__(self, url: str, token: str | None, timeout: float, role: str) -> None:
        self.url = url.rstrip("/")
        self._role = role
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            parsed = httpx.URL(self.url)
            good = parsed.scheme in {"http", "https"} and parsed.host
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)
        except (httpx.InvalidURL, UnicodeEncodeError):
            good = False
        if not good:
            raise Failure(
                f"`{url[:80]}` is not the address of {role}, or its token is no token",
                hint="expected http:// or https:// and a host",
            )

    def __enter__(self) -> FgaServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def now(self, store: str) -> datetime:
        """The time by this server's own clock, to a second; ours if it does not tell."""
        told = self._response("GET", f"/stores/{store}").headers.get("date", "")
        try:
            return parsedate_to_datetime(told)
        except ValueError:
            return datetime.now(UTC)

    def stores(self) -> Iterator[Json]:
        """All stores."""
        return self._pages("/stores", "stores", {})

    def store(self, store: str) -> Json | None:
        """A store, None if there is none."""
        return self._found(f"/stores/{store}")

    def models(self, store: str) -> list[Json]:
        """All models of a store, the oldest first."""
        path = f"/stores/{store}/authorization-models"
        return list(self._pages(path, "authorization_models", {}))[::-1]

    def create_store(self, store: str, name: str) -> None:
        """A store with this id, unless it is there."""
        self._create("/stores", {"name": name}, store)

    def create_model(self, store: str, model: Json) -> None:
        """A model with the id that it has, unless it is there."""
        self._create(f"/stores/{store}/authorization-models", model, str(model["id"]))

    def tuples(self, store: str, token: str) -> Json:
        """A page of tuples after a token."""
        body = {
            "page_size": PAGE,
            "continuation_token": token,
            "consistency": "HIGHER_CONSISTENCY",
        }
        return self.call("POST", f"/stores/{store}/read", body)

    def changes(self, store: str, token: str, since: str) -> Json:
        """A page of changes after a token, or from a time on."""
        query = {"page_size": str(PAGE)}
        query |= {"continuation_token": token} if token else {"start_time": since}
        return self.call("GET", f"/stores/{store}/changes", query=query)

    def assertions(self, store: str, model: str) -> list[Json]:
        """The assertions that are kept with a model."""
        told = self.call("GET", f"/stores/{store}/assertions/{model}")
        return list(told.get("assertions") or [])

    def keep_assertions(self, store: str, model: str, assertions: list[Json]) -> None:
        """Keep assertions with a model, in place of any others."""
        self.call("PUT", f"/stores/{store}/assertions/{model}", {"assertions": assertions})

    def write(self, store: str, model: str, writes: list[Json], deletes: list[Json]) -> None:
        """Write and delete, whatever was there."""
        body: Json = {"authorization_model_id": model} if model else {}
        if writes:
            body["writes"] = {"tuple_keys": writes, "on_duplicate": "update"}
        if deletes:
            body["deletes"] = {"tuple_keys": deletes, "on_missing": "ignore"}
        if writes or deletes:
            self.call("POST", f"/stores/{store}/write", body)

    def outcome(self, store: str, key: Json) -> str:
        """What a check says: `allowed`, `denied`, or the code of its error."""
        body = {"tuple_key": key, "consistency": "HIGHER_CONSISTENCY"}
        response = self._response("POST", f"/stores/{store}/check", body, tolerated=True)
        told = self._object(response)
        if response.is_success:
            return "allowed" if told.get("allowed") is True else "denied"
        return str(told.get("code"))

    def call(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """One request and its answer, tried again while that may help. Raises Failure."""
        return self._object(self._response(method, path, body, query, headers))

    def _create(self, path: str, body: Json, id_: str) -> None:
        try:
            self.call("POST", path, body, headers={"Stonetown-Id": id_})
        except Failure as failure:
            if failure.code != _EXISTS:  # an answer was lost, and this is the second time
                raise

    def _pages(self, path: str, member: str, query: Mapping[str, str]) -> Iterator[Json]:
        token = ""
        while True:
            asked = {**query, "page_size": str(PAGE)}
            told = self.call("GET", path, query=asked | {"continuation_token": token})
            yield from told.get(member) or []
            token = str(told.get("continuation_token") or "")
            if not token:
                return

    def _found(self, path: str) -> Json | None:
        response = self._response("GET", path, tolerated=True)
        if response.status_code == _NOT_FOUND:
            return None
        if not response.is_success:
            raise self._refusal(response)
        return self._object(response)

    def _response(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        tolerated: bool = False,
    ) -> httpx.Response:
        """The answer: a good one, or if that is `tolerated` one that says what was wrong."""
        wait = 0.25
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._http.request(
                    method, path, json=body, params=query, headers=headers
                )
            except httpx.HTTPError as error:
                if attempt == _ATTEMPTS:
                    raise self._away(error) from None
            else:
                if response.is_success:
                    return response
                status = response.status_code
                refusal = self._refusal(response)
                passing = status in {_TOO_MANY, *range(_FAULT, 600)} or refusal.code == _CONFLICT
                if tolerated and status < _FAULT and not passing:
                    return response
                if attempt == _ATTEMPTS or not passing:
                    raise refusal
                wait = max(wait, _retry_after(response))
            time.sleep(min(wait, _LONGEST_WAIT))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _away(self, error: Exception) -> Failure:
        return Failure(
            f"{self._role} does not answer at {self.url}: {type(error).__name__}",
            exit_code=ExitCode.UNAVAILABLE,
            code="no_server",
            hint="what is copied stays; --resume goes on",
        )

    def _refusal(self, response: httpx.Response) -> Failure:
        status = response.status_code
        told = self._object(response, strict=False)
        code = str(told.get("code") or f"http_{status}")
        message = str(told.get("message") or response.reason_phrase)
        kind = ExitCode.USAGE if status == _WRONG_INPUT else ExitCode.REFUSED
        return Failure(
            f"{self._role}: {message}",
            exit_code=ExitCode.UNAVAILABLE if status >= _FAULT else kind,
            code=code,
            details={"status": status},
        )

    def _object(self, response: httpx.Response, *, strict: bool = True) -> Json:
        try:
            value = response.json() if response.content else {}
        except ValueError:
            value = None
        if not isinstance(value, dict):
            if not strict:
                return {}
            raise Failure(
                f"{self._role} at {self.url} does not speak OpenFGA's API",
                exit_code=ExitCode.UNAVAILABLE,
                code="not_openfga",
            )
        return value


def _retry_after(response: httpx.Response) -> float:
    told = response.headers.get("retry-after", "")
    return float(told) if told.isascii() and told.isdecimal() and len(told) < 4 else 0.0
