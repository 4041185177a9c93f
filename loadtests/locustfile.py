"""A Drive under load, over HTTP: mostly checks, some batches, some writes.

    locust -f loadtests/locustfile.py --headless -u 32 -t 60s --host http://127.0.0.1:8080

The store `loadtest` is made and filled once, with the world of `--size`. Checks whose answer is
known fail when it is wrong. `STONETOWN_TOKEN` is sent as the key, if it is set. Locust is a closed
loop: it waits for each answer before it asks again, so read its percentiles as those of a server
that is as busy as it can be.
"""

from __future__ import annotations

import json
import os
import random
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import requests
from locust import FastHttpUser, events, task
from locust.env import Environment

from engine.requests import Check
from loadtests.worlds import SCHEMA, SIZES, Drive, Kind

STORE = "loadtest"
BATCH = 20
LINES = 10_000


@events.init_command_line_parser.add_listener
def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--size", choices=SIZES, default="small", help="how large a world")


@events.test_start.add_listener
def _fill(environment: Environment, **_: object) -> None:
    """Make the store with its tuples, unless an earlier run did."""
    drive = _drive(environment)
    base = f"{environment.host}/v1/stores"
    with requests.Session() as session:
        session.headers.update(_headers())
        made = session.post(base, json={"name": STORE}, timeout=30)
        if made.status_code == 409:
            return
        made.raise_for_status()
        schema = session.put(f"{base}/{STORE}/schema", json={"schema": SCHEMA}, timeout=30)
        schema.raise_for_status()
        for lines in _chunks(drive):
            kind = {"Content-Type": "application/x-ndjson"}
            sent = session.post(f"{base}/{STORE}/import", data=lines, headers=kind, timeout=120)
            sent.raise_for_status()


class Visitor(FastHttpUser):
    """One client that asks as fast as it is answered."""

    def on_start(self) -> None:
        """Each client draws its own questions."""
        self.drive = _drive(self.environment)
        self.draw = random.Random()
        self.probes = {kind: self.drive.probes(kind) for kind in Kind}

    @task(60)
    def check(self) -> None:
        """Somebody opens some document."""
        self._check(self.drive.random_check(self.draw), "random", None)

    @task(30)
    def probe(self) -> None:
        """A check with a known answer, of each kind in turn."""
        kind = self.draw.choice(list(Kind))
        probe = self.draw.choice(self.probes[kind])
        self._check(probe.check, kind, probe.allowed)

    @task(4)
    def batch(self) -> None:
        """A page of search results is filtered."""
        checks = [_wire(self.drive.random_check(self.draw)) for _ in range(BATCH)]
        self._post("check/batch", {"checks": checks}, f"batch of {BATCH}")

    @task(3)
    def share(self) -> None:
        """A document is shared, and a check at the zookie of that write must see it."""
        tuple_ = self.drive.random_tuple(self.draw)
        update = {"op": "touch", "tuple": str(tuple_)}
        written = self._post("write", {"updates": [update]}, "write")
        if written is not None:
            check = Check(tuple_.object, "edit", tuple_.subject)
            fresh = {"at_least_as_fresh": written["zookie"]}
            self._check(check, "after a write", expected=True, consistency=fresh)

    @task(2)
    def read(self) -> None:
        """An admin looks at who a document is shared with."""
        document = f"{self.draw.randrange(self.drive.size.documents)}"
        wanted = {"object_type": "document", "object_id": document}
        self._post("read", {"filter": wanted}, "read")

    @task(1)
    def expand(self) -> None:
        """An admin asks why."""
        document = f"document:{self.draw.randrange(self.drive.size.documents)}"
        self._post("expand", {"object": document, "relation": "view"}, "expand")

    def _check(
        self, check: Check, name: str, expected: bool | None, consistency: object = None
    ) -> None:
        body = _wire(check) | ({"consistency": consistency} if consistency else {})
        self._post("check", body, f"check: {name}", expected)

    def _post(
        self, call: str, body: dict[str, Any], name: str, expected: bool | None = None
    ) -> dict[str, Any] | None:
        """Ask; a status other than 200 or an unexpected decision is a failure."""
        with self.client.post(
            f"/v1/stores/{STORE}/{call}",
            data=json.dumps(body),
            headers=_headers() | {"Content-Type": "application/json"},
            name=name,
            catch_response=True,
        ) as answer:
            if answer.status_code != 200:
                answer.failure(f"status {answer.status_code}")
                return None
            found: dict[str, Any] = answer.json()
            if expected is not None and found["allowed"] is not expected:
                answer.failure(f"wrong answer: {body}")
            return found


def _drive(environment: Environment) -> Drive:
    assert environment.parsed_options is not None
    return Drive(SIZES[environment.parsed_options.size])


def _wire(check: Check) -> dict[str, Any]:
    return {
        "object": str(check.object),
        "relation": check.relation,
        "subject": str(check.subject),
    }


def _headers() -> dict[str, str]:
    token = os.environ.get("STONETOWN_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def _chunks(drive: Drive) -> Iterator[Iterable[bytes]]:
    """The world as bodies of an import, one line per tuple."""
    left = drive.tuples()
    while batch := list(islice(left, LINES)):
        yield (json.dumps(str(item)).encode() + b"\n" for item in batch)
