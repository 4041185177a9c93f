"""The `validation:` block of a validation file: who is expected to be found, and by what.

document:readme#view:
  - "[user:ann] is <document:readme#viewer>/<group:eng#member>"
  - "[user:bo[...]] is <document:readme#viewer>"                     under a caveat
  - "[user:* - {user:cy, user:di[...]}] is <document:readme#viewer>"  everyone but these
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from api.cli.subject_sets import Member, SubjectSet
from api.cli.validation_file import ExpectedRelation, FileProblem, Located
from engine.errors import EngineError
from engine.tuples import WILDCARD, Object, Subject, parse_subject

_ENTRY = re.compile(
    r"\s*\[\s*(?P<subject>\S+?)(?P<caveat>\[\.\.\.\])?"
    r"(?:\s+-\s+\{(?P<exceptions>[^{}]*)\})?\s*\]\s+is\s+"
    r"(?P<paths><[^<>]+>(?:\s*/\s*<[^<>]+>)*)\s*"
)
_PATH = re.compile(r"<([^<>]+)>")
_FORM = "`[type:id] is <object#relation>/…`"
_CAVEAT = "[...]"


class Found(NamedTuple):
    """One subject in the terms of a validation file: `exceptions` are those of a wildcard, by
    subject, each with whether a caveat decides it."""

    subject: Subject
    conditional: bool
    paths: frozenset[str]
    exceptions: tuple[tuple[Subject, bool], ...] = ()

    def __str__(self) -> str:
        who = f"{self.subject}{_CAVEAT if self.conditional else ''}"
        if self.exceptions:
            but = (f"{each}{_CAVEAT if doubt else ''}" for each, doubt in self.exceptions)
            who += f" - {{{', '.join(but)}}}"
        return f"[{who}] is {'/'.join(f'<{path}>' for path in sorted(self.paths))}"


class Entry(NamedTuple):
    """An expected subject and the line it stands on."""

    found: Found
    line: int


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of one `object#relation`."""

    key: Located
    object: Object
    relation: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Expected and not found, found and not expected, or found otherwise than expected; or
    neither, if `error` says why nothing could be found."""

    key: Located
    expected: Entry | None = None
    found: Found | None = None
    error: EngineError | None = None

    @property
    def line(self) -> int:
        """Where it is in the file."""
        return self.key.line if self.expected is None else self.expected.line


def parse(block: Sequence[ExpectedRelation], problems: list[FileProblem]) -> list[Expectation]:
    """The block with every text understood; texts that are not become problems."""
    made = []
    for relation in block:
        try:
            goal = _goal(relation.key.text)
        except ValueError as error:
            problems.append(FileProblem(str(error), relation.key.line, relation.key.column))
            continue
        entries = tuple(_entries(relation.entries, problems))
        made.append(Expectation(relation.key, Object(*goal[:2]), goal.relation, entries))
    return made


def compare(expectation: Expectation, members: SubjectSet) -> Iterator[Difference]:
    """What differs between the expected subjects, in their order, and those that were found."""
    found = {each.subject: each for each in _told(members)}
    named = set()
    for entry in expectation.entries:
        subject = entry.found.subject
        named.add(subject)
        if found.get(subject) != entry.found:
            yield Difference(expectation.key, entry, found.get(subject))
    for subject in sorted(found.keys() - named):
        yield Difference(expectation.key, None, found[subject])


def _told(members: SubjectSet) -> Iterator[Found]:
    for subject, member in members.named.items():
        yield Found(subject, member.conditional, member.paths)
    for kind, everyone in members.everyone.items():
        exceptions = _exceptions(kind, everyone.exceptions)
        member = everyone.found
        yield Found(Subject(kind, WILDCARD), member.conditional, member.paths, exceptions)


def _exceptions(kind: str, found: Mapping[str, Member]) -> tuple[tuple[Subject, bool], ...]:
    return tuple(sorted((Subject(kind, id_), each.conditional) for id_, each in found.items()))


def _entries(texts: Sequence[Located], problems: list[FileProblem]) -> Iterator[Entry]:
    first: dict[Subject, int] = {}
    for text in texts:
        try:
            found = _found(text.text)
            if found.subject in first:
                line = first[found.subject]
                raise ValueError(f"`{found.subject}` stands twice, first on line {line}")
        except ValueError as error:
            problems.append(FileProblem(str(error), text.line, text.column))
            continue
        first[found.subject] = text.line
        yield Entry(found, text.line)


def _found(text: str) -> Found:
    match = _ENTRY.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` does not say who is found by what; expected {_FORM}")
    subject = _subject(match["subject"])
    exceptions = []
    for each in (match["exceptions"] or "").split(","):
        who = each.strip()
        if who:
            exceptions.append((_subject(who.removesuffix(_CAVEAT)), who.endswith(_CAVEAT)))
    if exceptions and subject.id != WILDCARD:
        raise ValueError(f"`{subject}` has exceptions; expected them of a wildcard only")
    paths = frozenset(str(_goal(path)) for path in _PATH.findall(match["paths"]))
    return Found(subject, match["caveat"] is not None, paths, tuple(sorted(set(exceptions))))


def _goal(text: str) -> Subject:
    goal = _subject(text)
    if not goal.relation or goal.id == WILDCARD:
        raise ValueError(f"`{text}` names no relation of an object; expected `type:id#relation`")
    return goal


def _subject(text: str) -> Subject:
    try:
        return parse_subject(text.strip())
    except EngineError as error:
        raise ValueError(f"{error.message}; expected {error.expected}") from None
