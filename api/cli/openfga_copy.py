"""One store copied from a server that speaks OpenFGA's API: its models and their assertions, its
tuples, and what changes meanwhile.

Tuples are read page by page, from a store that goes on being written to. Then the changes are
followed, from a minute before the first page on, in their order: whatever a page showed too early
or too late, the last change of a tuple is what stands in the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from api.cli.failure import ExitCode, Failure
from api.cli.openfga_server import FgaServer, Json

_BEFORE = timedelta(seconds=60)
"""Changes are stamped before they are committed, and clocks are told to a second."""
_SAMPLE = 200
_SKIPPED_TOLD = 20
_DELETED = "TUPLE_OPERATION_DELETE"
_BAD_TOKEN = "invalid_continuation_token"  # noqa: S105 - a code


@dataclass(slots=True)
class Progress:
    """How far one store is. `read` and `changes` are tokens of the source; `sample` are some of
    the tuples, chosen evenly from `tuples` of them."""

    since: str = ""
    read: str = ""
    complete: bool = False
    changes: str = ""
    tuples: int = 0
    changed: int = 0
    skipped: int = 0
    skipped_told: list[str] = field(default_factory=list)
    sample: list[Json] = field(default_factory=list)

    def saved(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


class Copy:
    """The copying of one store. `told` is called after each page that was acknowledged."""

    def __init__(
        self,
        source: FgaServer,
        target: FgaServer,
        store: Json,
        progress: Progress,
        told: Callable[[], None],
    ) -> None:
        self.progress = progress
        self.store = str(store["id"])
        self.name = str(store["name"])
        self.models: list[str] = []
        self.latest: Json = {}
        self._source = source
        self._target = target
        self._told = told
        self._model_of: dict[tuple[str, ...], str] = {}
        self._chance = random.Random(self.store)  # noqa: S311 - a sample is no secret

    def models_and_store(self) -> None:
        """Make the store if it is not there, and every model that it does not have yet. The newest
        is written last, so that it is the latest there, too."""
        there = self._target.store(self.store)
        if there is None:
            self._target.create_store(self.store, self.name)
        known = {str(model["id"]) for model in self._target.models(self.store)} if there else set()
        found = self._source.models(self.store)
        for model in found:
            if model["id"] not in known:
                self._target.create_model(self.store, model)
        self.models = [str(model["id"]) for model in found]
        self.latest = found[-1] if found else {}
        self._model_of.clear()

    def assertions(self) -> None:
        """Copy the assertions that are kept with the models."""
        for model in self.models:
            if found := self._source.assertions(self.store, model):
                self._target.keep_assertions(self.store, model, found)

    def tuples(self) -> None:
        """Copy the tuples, from where an earlier import stopped."""
        progress = self.progress
        if progress.complete:
            return
        if not progress.since:
            progress.since = _time(self._source.now(self.store) - _BEFORE)
        while True:
            page = self._page()
            items = [_key(item["key"]) for item in page.get("tuples") or []]
            self._put(items, [])
            for item in items:
                self._sampled(item)
            progress.read = str(page.get("continuation_token") or "")
            progress.complete = not progress.read
            self._told()
            if progress.complete:
                return

    def follow(self) -> int:
        """Apply what has changed until nothing more has; how many changes there were."""
        count = 0
        while True:
            progress = self.progress
            page = self._source.changes(self.store, progress.changes, progress.since)
            changes = page.get("changes") or []
            if not changes:
                return count
            last = {_identity(change["tuple_key"]): change for change in changes}
            gone = [change for change in last.values() if change["operation"] == _DELETED]
            kept = [change for change in last.values() if change["operation"] != _DELETED]
            deletes = [_bare(change["tuple_key"]) for change in gone]
            self._put([_key(change["tuple_key"]) for change in kept], deletes)
            count += len(changes)
            progress.changed += len(changes)
            progress.changes = str(page.get("continuation_token") or "")
            self._told()
            if not progress.changes:
                return count

    def _page(self) -> Json:
        try:
            return self._source.tuples(self.store, self.progress.read)
        except Failure as failure:
            if failure.code != _BAD_TOKEN or not self.progress.read:
                raise
            # The source has given up the place: all is read again, which changes nothing.
            self.progress.read, self.progress.tuples = "", 0
            return self._source.tuples(self.store, "")

    def _put(self, writes: list[Json], deletes: list[Json]) -> None:
        """Write under the model that takes each form of tuple; at first that is the latest."""
        by_model: dict[str, list[Json]] = {}
        for item in writes:
            by_model.setdefault(self._model_of.get(_form(item), ""), []).append(item)
        if deletes:
            self._target.write(self.store, "", [], deletes)
        for model, items in by_model.items():
            self._write(model, items)

    def _write(self, model: str, items: list[Json]) -> None:
        """Write what the model takes, and the rest under the one that takes it."""
        try:
            self._target.write(self.store, model, items, [])
        except Failure as failure:
            if failure.exit_code is not ExitCode.USAGE:
                raise
            if len(items) > 1:
                half = len(items) // 2
                self._write(model, items[:half])
                self._write(model, items[half:])
            else:
                self._write_by_any(items[0], failure)

    def _write_by_any(self, item: Json, failure: Failure) -> None:
        """Write a tuple that the latest model does not take: it was written under an older one.
        If none takes it, it is told and left out."""
        for model in reversed(self.models):
            try:
                self._target.write(self.store, model, [item], [])
            except Failure as refused:
                if refused.exit_code is not ExitCode.USAGE:
                    raise
            else:
                self._model_of[_form(item)] = model
                return
        self.progress.skipped += 1
        if len(self.progress.skipped_told) < _SKIPPED_TOLD:
            shown = f"{item['object']}#{item['relation']}@{item['user']}"
            self.progress.skipped_told.append(f"{shown}: {failure.message}")

    def _sampled(self, item: Json) -> None:
        """Keep an even sample of all that has come by."""
        self.progress.tuples += 1
        if len(self.progress.sample) < _SAMPLE:
            self.progress.sample.append(item)
            return
        place = self._chance.randrange(self.progress.tuples)
        if place < _SAMPLE:
            self.progress.sample[place] = item


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _identity(key: Json) -> tuple[str, str, str]:
    return str(key["user"]), str(key["relation"]), str(key["object"])


def _bare(key: Json) -> Json:
    return {name: key[name] for name in ("user", "relation", "object")}


def _key(key: Json) -> Json:
    """A tuple key as it is written."""
    condition = key.get("condition")
    return _bare(key) | ({"condition": condition} if condition else {})


def _form(item: Json) -> tuple[str, ...]:
    """All of a tuple that a model has a say in."""
    kind, _, id_ = str(item["user"]).partition(":")
    _, _, relation = id_.partition("#")
    condition = str((item.get("condition") or {}).get("name", ""))
    object_type = str(item["object"]).partition(":")[0]
    wildcard = "*" if id_ == "*" else ""
    return object_type, str(item["relation"]), kind, relation, wildcard, condition


def questions(copy: Copy, count: int) -> Iterable[Json]:
    """Checks to ask both servers: of tuples of the sample, the same user or another of them, and
    the same relation or another of the type."""
    chance = random.Random(f"{copy.store} {count}")  # noqa: S311 - a sample is no secret
    types = copy.latest.get("type_definitions") or []
    relations = {str(kind["type"]): sorted(kind.get("relations") or {}) for kind in types}
    sample = copy.progress.sample
    for number in range(count if sample else 0):
        item = chance.choice(sample)
        known = relations.get(str(item["object"]).partition(":")[0])
        key = _bare(item)
        if number % 2 and known:
            key["relation"] = chance.choice(known)
        if number % 4 >= 2:
            key["user"] = chance.choice(sample)["user"]
        yield key
