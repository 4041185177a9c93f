"""Changes laid over a reader, to see what they would do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.reader import Edge, Probe, Reader, Scan
from engine.store.overlay import OverlayReader
from engine.store.protocol import Update, UpdateOp


class ChangedReader:
    """Reads as if updates had been written: deleted tuples are gone, the others are as given.

    There is at most one update of each identity. Wraps any Reader.
    """

    def __init__(self, reader: Reader, updates: Iterable[Update]) -> None:
        given = list(updates)
        self._reader = OverlayReader(
            reader, [item for op, item in given if op is not UpdateOp.DELETE]
        )
        self._deleted = {
            (*item.object, item.relation, *item.subject)
            for op, item in given
            if op is UpdateOp.DELETE
        }

    async def fetch(
        self, probes: Sequence[Probe], scans: Sequence[Scan], limit: int
    ) -> tuple[list[Edge | None], list[list[Edge]]]:
        """See `engine.reader.Reader.fetch`."""
        found, lists = await self._reader.fetch(probes, scans, limit)
        held = [
            None if tuple(probe) in self._deleted else edge
            for probe, edge in zip(probes, found, strict=True)
        ]
        left = [
            [edge for edge in edges if (*scan[:3], *edge[:3]) not in self._deleted]
            for scan, edges in zip(scans, lists, strict=True)
        ]
        return held, left
