"""What the parent of workers is told by signals, kept until it looks."""

from __future__ import annotations

import atexit
import os
import signal
from enum import Enum
from types import FrameType

from api.servers.readiness import readable


class Order(Enum):
    """What a signal tells."""

    STOP = "stop"
    RELOAD = "reload"


_MEANT: dict[int, Order] = {
    signal.SIGINT: Order.STOP,
    signal.SIGTERM: Order.STOP,
    signal.SIGHUP: Order.RELOAD,
}


class Orders:
    """The orders that came and were not taken, first come first. To be made in the main thread:
    from then on, to the end of the process, signals are orders and interrupt nothing.

    They come through a pipe that the signal itself writes to. Python's own handlers run only when
    the main thread gets to its next instruction, which a thread that went to wait at that moment,
    or whose signal another thread received, never does: the order would be lost.
    """

    def __init__(self) -> None:
        self._come, sent = os.pipe()
        os.set_blocking(sent, False)
        signal.set_wakeup_fd(sent, warn_on_full_buffer=False)
        for number in _MEANT:
            signal.signal(number, _noted)
        atexit.register(_ignore)

    def get(self) -> Order:
        """The next order, waited for."""
        while True:
            order = _MEANT.get(os.read(self._come, 1)[0])
            if order is not None:
                return order

    def empty(self) -> bool:
        """Whether no order waits."""
        return not readable(self._come)


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Here so that the signal is handled at all; what it says is in the pipe."""


def _ignore() -> None:
    """Keep a late signal from ending the process as killed: Python gives signals back their own
    meaning before the last of it is gone, all but the ignored ones."""
    for number in _MEANT:
        signal.signal(number, signal.SIG_IGN)
