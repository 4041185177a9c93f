"""A store of a million tuples with lists of known lengths: objects of a subject, and the reverse.

Each `u…` comes to its documents by groups in groups, and by folders that are shared with these;
`wide` by 50,000 folders with one document in each. Each document `s…` has its members by groups in
a group. `view` is a union; `read` leaves out who is banned, which nobody of these is; `both` asks
for an approval, too, which all of these have.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from uuid import UUID

import asyncpg

from engine.engine import Engine
from engine.requests import WriteRequest
from engine.store.protocol import Update, UpdateOp
from engine.tuples import parse_tuple

STORE = "lookups"
TUPLES = 1_000_000
SIZES = (10, 1_000, 50_000)
WIDE = 50_000
PARTS = 25
SCHEMA = """\
definition user {}

definition group {
    relation member: user | group#member
}

definition folder {
    relation parent: folder
    relation viewer: user | group#member
    permission view = viewer + parent->view
}

definition document {
    relation parent: folder
    relation viewer: user | group#member
    relation banned: user
    relation approved: user
    permission view = viewer + parent->view
    permission read = view - banned
    permission both = view & approved
}
"""
_COLUMNS = (
    "object_type",
    "object_id",
    "relation",
    "subject_type",
    "subject_id",
    "subject_relation",
)
Row = tuple[str, str, str, str, str, str]


def rows() -> Iterator[Row]:
    """A million tuples, each once."""
    made = 0
    for row in _lists():
        made += 1
        yield row
    for number in range((TUPLES - made) // 4):
        document, folder = f"x{number:07}", f"x{number % 50_000}"
        yield "document", document, "parent", "folder", folder, ""
        yield "document", document, "viewer", "user", f"x{number % 20_000}", ""
        yield "document", document, "viewer", "group", f"x{number % 5_000}", "member"
        yield "document", document, "banned", "user", f"x{number % 9_999}", ""


def _lists() -> Iterator[Row]:
    for size in SIZES:
        yield from _objects_of_one(size)
        yield from _subjects_of_one(size)
    for number in range(WIDE):
        yield "folder", f"w{number}", "viewer", "user", "wide", ""
        yield "document", f"w{number * 7919 % WIDE:05}", "parent", "folder", f"w{number}", ""


def _objects_of_one(size: int) -> Iterator[Row]:
    for depth in range(3):
        inner = f"g{size}-{depth - 1}"
        who = ("group", inner, "member") if depth else ("user", f"u{size}", "")
        yield ("group", f"g{size}-{depth}", "member", *who)
    folders = min(PARTS, size // 2)
    for number in range(folders):
        above = f"f{size}-{number}-0"
        yield "folder", above, "viewer", "group", f"g{size}-2", "member"
        for depth in (1, 2):
            yield "folder", f"f{size}-{number}-{depth}", "parent", "folder", above, ""
            above = f"f{size}-{number}-{depth}"
    for number in range(size):
        document, folder = f"d{size}-{number}", f"f{size}-{number % folders}-2"
        yield "document", document, "parent", "folder", folder, ""
        yield "document", document, "approved", "user", f"u{size}", ""


def _subjects_of_one(size: int) -> Iterator[Row]:
    document, above = f"s{size}", f"c{size}"
    yield "document", document, "viewer", "group", above, "member"
    yield "document", document, "banned", "user", "nobody", ""
    groups = min(PARTS, size // 2)
    for number in range(groups):
        yield "group", above, "member", "group", f"{above}-{number}", "member"
    for number in range(size):
        user = f"m{number:05}"
        yield "group", f"{above}-{number % groups}", "member", "user", user, ""
        yield "document", document, "approved", "user", user, ""


async def fill(engine: Engine, dsn: str) -> int:
    """Copy the tuples below the engine, as one revision; how many there are."""
    record = await engine.create_store(STORE)
    await engine.write_schema(STORE, SCHEMA)
    first = Update(UpdateOp.TOUCH, parse_tuple("document:first#viewer@user:first"))
    await engine.write(STORE, WriteRequest([first]))
    head = await engine.storage.head(record.id)
    store, revision, count = UUID(record.id), head.snapshot.revision, 1
    connection = await asyncpg.connect(dsn)
    try:
        left = rows()
        while batch := list(islice(left, 2_000)):
            await connection.copy_records_to_table(
                "relation_tuple",
                records=[(store, *row, "", "", revision) for row in batch],
                columns=["store_id", *_COLUMNS, "caveat", "context", "created_revision"],
            )
            count += len(batch)
        await connection.execute("VACUUM ANALYZE relation_tuple")
    finally:
        await connection.close()
    return count
