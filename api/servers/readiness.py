"""The byte by which a child process tells that it is ready."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

_READY = b"."


def readable(descriptor: int) -> bool:
    """Whether reading from it waits for nothing, whatever its number: `select.select` knows only
    the first 1,024."""
    looked = select.poll()
    looked.register(descriptor, select.POLLIN)
    return bool(looked.poll(0))


def tell(descriptor: int) -> None:
    """Send the byte, and close the descriptor that the parent gave."""
    os.write(descriptor, _READY)
    os.close(descriptor)


class Readiness:
    """Whether a child is ready, for one child after another. Nothing of it stays open once the
    byte has come: the parent lives for as long as the service, through any number of reloads."""

    def __init__(self) -> None:
        self._heard = -1

    @contextmanager
    def expected(self) -> Iterator[int]:
        """The body starts a child that is to `tell` by this descriptor. Those before it are
        forgotten."""
        self._close()
        self._heard, told = os.pipe()
        try:
            yield told
        finally:
            os.close(told)

    def has_come(self) -> bool:
        """Whether the byte has come, which is told once."""
        if self._heard < 0 or not readable(self._heard):
            return False
        said = os.read(self._heard, 1)
        self._close()
        return said == _READY

    def _close(self) -> None:
        if self._heard >= 0:
            os.close(self._heard)
            self._heard = -1

    def __del__(self) -> None:
        # A child that never got ready leaves it open.
        self._close()
