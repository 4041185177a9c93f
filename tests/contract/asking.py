"""schemathesis: requests made from a document, and every answer held to it.

The requests are the document's examples, the bounds of every member one by one, and random ones;
many break the document on purpose. Each is about a store that is there, but for those that try the
parameters of the path.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.recorder import CheckNode, Interaction, ScenarioRecorder

Json = dict[str, Any]

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
PHASES = ("examples", "coverage", "fuzzing")
ENDLESS = "/watch$"
"""The path of the call whose answer does not end: its tests are `tests/api/test_watch.py`."""

_TIMEOUT_SECONDS = 30
_DEADLINE = "X-Stonetown-Deadline-Ms"
_LONG_ENOUGH = "30000"


@dataclass(frozen=True, slots=True)
class Document:
    """A document, the parameters that name what the server holds, and, by the path of a call that
    deletes, those that name what may go."""

    name: str
    text: Json
    parameters: Mapping[str, str]
    doomed: Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class Outcome:
    """What came back: answers by status, those that are excused by reason, and breaks, each with a
    request that shows it and how often it was seen."""

    calls: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    breaks: Counter[str] = field(default_factory=Counter)
    shown: dict[str, str] = field(default_factory=dict)

    def fail(self, what: str, shown: str) -> None:
        """Count a break."""
        self.breaks[what] += 1
        self.shown.setdefault(what, shown)


def ask(
    document: Document, url: str, *, examples: int, seed: int, phases: Sequence[str] = PHASES
) -> Outcome:
    """Ask the server at `url`: `examples` random requests of each call, all of them by `seed`."""
    asked = schemathesis.openapi.from_dict(
        document.text,
        config=schemathesis.Config.from_dict(_config(document, url, examples, seed, phases)),
    )
    outcome = Outcome()
    for event in from_schema(asked).execute():
        if isinstance(event, ScenarioFinished):
            _count(event.recorder, outcome)
        elif isinstance(event, NonFatalError):
            outcome.fail(f"{event.label}: {type(event.value).__name__}", str(event.value))
        elif isinstance(event, FatalError):
            raise event.exception
    return outcome


def _config(document: Document, url: str, examples: int, seed: int, phases: Sequence[str]) -> Json:
    operations: list[Json] = [{"include-path-regex": ENDLESS, "enabled": False}]
    for path, parameters in document.doomed.items():
        deleting = {"include-method": "DELETE", "include-path": path}
        operations.append({**deleting, "parameters": dict(parameters)})
    checks: Json = {name: {"enabled": True} for name in CHECKS}
    return {
        "seed": seed,
        "base-url": url,
        "workers": 1,
        "request-timeout": _TIMEOUT_SECONDS,
        "continue-on-failure": True,
        "parameters": dict(document.parameters),
        "operations": operations,
        "checks": {"enabled": False, **checks},
        "phases": {
            name: {"enabled": name in phases}
            for name in ("examples", "coverage", "fuzzing", "stateful")
        },
        "generation": {"max-examples": examples, "database": "none"},
    }


def _count(recorder: ScenarioRecorder, outcome: Outcome) -> None:
    """Add what one series of requests to one call brought."""
    for each in recorder.interactions.values():
        outcome.calls.add(recorder.label)
        if each.response is None:
            outcome.fail(
                f"{recorder.label}: no answer", f"{each.request.method} {each.request.uri}"
            )
        else:
            outcome.statuses[each.response.status_code] += 1
    for case, checks in recorder.checks.items():
        for check in checks:
            if check.status is not Status.SUCCESS:
                _judge(recorder.label, check, recorder.interactions[case], outcome)


def _judge(call: str, check: CheckNode, seen: Interaction, outcome: Outcome) -> None:
    """Count a check that failed, as excused or as a break."""
    reason = _excuse(check.name, seen)
    if reason is not None:
        outcome.excused[reason] += 1
        return
    if check.failure_info is None:
        outcome.fail(f"{call}: {check.name} could not be made", "")
        return
    failure = check.failure_info.failure
    told = getattr(failure, "validation_message", "") or failure.title
    body = b"" if seen.response is None else seen.response.content
    shown = f"{check.failure_info.code_sample}\n{body[:1000].decode(errors='replace')}"
    outcome.fail(f"{call}: {check.name}: {told}", f"{shown}\n{failure.message}")


def _excuse(check: str, seen: Interaction) -> str | None:
    """Why an answer that failed a check is right all the same, if it is."""
    answer = seen.response
    if answer is None:
        return None
    if check == "content_type_conformance" and answer.status_code == 204 and not answer.content:
        return "204 has no content, so no type of it"
    return None


@schemathesis.hook
def before_call(
    _context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: dict[str, Any]
) -> None:
    """Lengthen a deadline of some milliseconds: the answer to it would be that it passed."""
    headers: Any = case.headers
    value = str(headers.get(_DEADLINE, "")).strip() if headers else ""
    if value.isdecimal() and len(value) < len(_LONG_ENOUGH):
        headers[_DEADLINE] = _LONG_ENOUGH


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    """The body of an import: an entry is a line, if it is a list."""
    entries = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
