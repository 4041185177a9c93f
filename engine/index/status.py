"""What the indexer of a node tells its workers of one store's index: a few words in shared memory.

Each word is written at once, so that a reader sees a word as it was or as it is. The order of the
writes is what readers rely on: a revision is committed to the index before `as_of` says so, and an
index is complete before `generation` names it.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

_WORDS = 8
_SIZE = _WORDS * 8
_BOOT, _GENERATION, _AS_OF, _REVISION, _HEAD, _BYTES, _LAST = range(7)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boot() -> int:
    """A number for this boot of the machine, for the clock starts again with each."""
    try:
        text = _BOOT_ID.read_text("ascii")
    except OSError:
        return 1
    return int(text.replace("-", "")[:15], 16) | 1


class Status:
    """The words of one store. Zero everywhere until an indexer has written."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        """Raises OSError, FileNotFoundError if there is none to read."""
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                # Written, for a page that is a hole in the file cannot be had on a full disk.
                file.write(bytes(max(0, _SIZE - file.tell())))
        with path.open("r+b" if write else "rb") as file:
            access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
            self._map = mmap.mmap(file.fileno(), _SIZE, access=access)
        self._words = memoryview(self._map).cast("Q")
        self._this_boot = _boot()

    @property
    def generation(self) -> int:
        """Which directory holds the index, 0 while there is none to be used."""
        words = self._words
        return words[_GENERATION] if words[_BOOT] == self._this_boot else 0

    @property
    def as_of(self) -> float:
        """The moment since which nothing committed is missing in the index, on the clock of
        `engine.cache.shared.elapsed`, which all processes of this boot share."""
        return self._words[_AS_OF] / 1e9

    @property
    def told(self) -> int:
        """`as_of` in nanoseconds."""
        return self._words[_AS_OF]

    @property
    def revision(self) -> int:
        """The revision of the index."""
        return self._words[_REVISION]

    @property
    def head(self) -> int:
        """The head of the store when the indexer last looked."""
        return self._words[_HEAD]

    @property
    def size(self) -> int:
        """The bytes that the index takes."""
        return self._words[_BYTES]

    def resume(self) -> bool:
        """An indexer takes over; nothing is to be used until it says so. True if the one before
        ran under the same boot, so that what it has written is still as it wrote it."""
        same = self._words[_BOOT] == self._this_boot
        for word in (_GENERATION, _AS_OF, _REVISION, _HEAD, _BYTES):
            self._words[word] = 0
        self._words[_BOOT] = self._this_boot
        return same

    def next_generation(self) -> int:
        """A number that no index of this store has had."""
        self._words[_LAST] += 1
        return self._words[_LAST]

    def offer(self, generation: int) -> None:
        """Name the index that is to be used, 0 for none."""
        if not generation:
            self._words[_AS_OF] = 0
        self._words[_GENERATION] = generation

    def advance(self, revision: int, head: int, size: int, as_of: float | None) -> None:
        """Tell how far the index is; `as_of` is None if it is not level with the store."""
        self._words[_REVISION] = revision
        self._words[_HEAD] = head
        self._words[_BYTES] = size
        if as_of is not None:
            self._words[_AS_OF] = int(as_of * 1e9)

    def close(self) -> None:
        """Let go of the shared memory."""
        self._words.release()
        self._map.close()


def refuse_all(root: Path) -> None:
    """Have every index under `root` built again: a process died as it does when the file under its
    feet is damaged, and which one it was is not known."""
    for path in root.glob("*/status"):
        with suppress(OSError, ValueError):
            status = Status(path)
            refused(path.parent, status.generation).touch()
            status.close()


def refused(place: Path, generation: int) -> Path:
    """The file that says, by being there, that an index is not to be used any more."""
    return place / f"refused-{generation}"
