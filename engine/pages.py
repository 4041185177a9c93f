"""Pages of an answer that is computed: one snapshot and one `now` from the first to the last."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from time import perf_counter

from engine.asking import Ground
from engine.budget import Budget
from engine.consistency import Freshness
from engine.cursor import Call, Cursor, Cursors
from engine.digest import Part, digest
from engine.grounds import Grounds, arguments_of
from engine.limits import Limits
from engine.lists import check_limit, place_of
from engine.reader import ReverseReader
from engine.requests import MINIMIZE_LATENCY, Consistency, FullyConsistent, Overlay
from engine.schemas import Schemas
from engine.sight import at_hand
from engine.store.protocol import Snapshot, Storage
from engine.tuples import Object
from engine.zookie import encode


@dataclass(frozen=True, slots=True)
class Way:
    """How a list is asked for, beside what is asked: `deadline` is in seconds from now, and
    `overlay` counts as written for this list."""

    limit: int | None = None
    cursor: str | None = None
    consistency: Consistency = MINIMIZE_LATENCY
    deadline: float | None = None
    overlay: Overlay | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page begins: after `position`, or at the start if that is None.

    `reader` is the ground's, which reads from subjects to objects, too.
    """

    call: Call
    snapshot: Snapshot
    ground: Ground
    reader: ReverseReader
    budget: Budget
    position: tuple[str, ...] | None

    @property
    def zookie(self) -> str:
        """The zookie of the snapshot that all pages are at."""
        return encode(self.snapshot)


class Pages:
    """Opens pages of any call, and seals where the next one begins."""

    def __init__(
        self,
        storage: Storage,
        freshness: Freshness,
        schemas: Schemas,
        cursors: Cursors,
        limits: Limits,
    ) -> None:
        self.limits = limits
        self.grounds = Grounds(storage, schemas, limits)
        self.freshness = freshness
        self.read_from: Counter[str] = Counter()
        """How many answers were read from the node's `index`, and from `storage`."""
        self._parts = (storage, freshness, schemas, cursors)
        self._cursors = cursors

    def within(self, limits: Limits) -> Pages:
        """The same pages within other limits."""
        made = Pages(*self._parts, limits)
        made.read_from = self.read_from
        return made

    def count(self, ground: Ground) -> None:
        """Count an answer by where its ground reads from."""
        self.read_from["index" if at_hand(ground.reader) else "storage"] += 1

    def seconds(self, way: Way) -> float:
        """How long the answer may take."""
        return self.limits.deadline if way.deadline is None else way.deadline

    def size(self, way: Way) -> int:
        """How many entries a page takes. Raises LimitExceeded."""
        size = self.limits.page_default if way.limit is None else way.limit
        check_limit(size, self.limits.page_maximum)
        return size

    async def open(
        self,
        store: str,
        name: str,
        arguments: Part,
        way: Way,
        objects: tuple[Object, ...] = (),
    ) -> Page:
        """The page of the call `name` with these arguments that the cursor names; without one the
        first, at a snapshot that is fit for questions about `objects`.

        Raises what `Grounds.at` raises, and what `place_of` raises.
        """
        reads, nodes = self.limits.evaluation_reads, self.limits.evaluation_nodes
        budget = Budget(reads, nodes, perf_counter() + self.seconds(way))
        fresh = isinstance(way.consistency, FullyConsistent)
        record = await self.freshness.store(store, fresh=fresh)
        call = Call(record.id, name, digest(arguments, arguments_of(way.overlay)))
        snapshot, now, position = await place_of(
            self.freshness,
            self._cursors,
            record,
            call,
            cursor=way.cursor,
            consistency=way.consistency,
            objects=objects,
        )
        ground, reader = await self.grounds.at(snapshot, now, way.overlay)
        self.count(ground)
        return Page(call, snapshot, ground, reader, budget, position)

    async def seal(self, page: Page, position: tuple[str, ...]) -> str:
        """The cursor of the page that begins after `position`. Raises Unavailable."""
        place = Cursor(page.snapshot.revision, page.snapshot.stamp, page.ground.now, position)
        return await self._cursors.seal(page.call, place)
