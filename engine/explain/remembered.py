"""A reader that keeps what was read: what an evaluation saw is what its explanation tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine.reader import Edge, Probe, Reader, Scan
from engine.tuples import Object


class Unread:
    """The answer to a question that the evaluation never had to ask."""


UNREAD: Final = Unread()


class Remembered:
    """Reads everything once and remembers it, at one snapshot. Wraps any Reader."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._probes: dict[Probe, Edge | None] = {}
        self._scans: dict[Scan, Sequence[Edge]] = {}
        self._unread_probes: dict[Probe, None] = {}
        self._unread_scans: dict[Scan, None] = {}

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[list[Edge | None], list[Sequence[Edge]]]:
        """See `engine.reader.Reader.fetch`; only what is not known yet is asked."""
        new_probes = list(dict.fromkeys(item for item in probes if item not in self._probes))
        new_scans = list(dict.fromkeys(item for item in scans if item not in self._scans))
        if new_probes or new_scans:
            edges, lists = await self._reader.fetch(new_probes, new_scans, limit)
            self._probes.update(zip(new_probes, edges, strict=True))
            self._scans.update(zip(new_scans, lists, strict=True))
        return [self._probes[item] for item in probes], [self._scans[item] for item in scans]

    def objects(self) -> Iterator[Object]:
        """The objects that scanned tuples lead to, in the order they were read."""
        for edges in self._scans.values():
            for edge in edges:
                yield Object(edge.subject_type, edge.subject_id)

    def probed(self, probe: Probe) -> Edge | Unread | None:
        """What a probe found, UNREAD if it was never asked."""
        found = self._probes.get(probe, UNREAD)
        if isinstance(found, Unread):
            self._unread_probes[probe] = None
        return found

    def scanned(self, scan: Scan) -> Sequence[Edge] | Unread:
        """What a scan found, UNREAD if it was never asked."""
        found = self._scans.get(scan, UNREAD)
        if isinstance(found, Unread):
            self._unread_scans[scan] = None
        return found

    def unread(self) -> tuple[list[Probe], list[Scan]]:
        """What was looked for in vain, by `probed` and `scanned`, since `forget_unread`."""
        return list(self._unread_probes), list(self._unread_scans)

    def forget_unread(self) -> None:
        """Begin anew to note what is looked for in vain."""
        self._unread_probes.clear()
        self._unread_scans.clear()
