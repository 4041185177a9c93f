"""What the parent of workers is told by signals, kept until it looks."""

from __future__ import annotations

import os
import select
import signal
from enum import Enum
from types import FrameType, TracebackType


class Order(Enum):
    """What a signal tells."""

    STOP = "stop"
    RELOAD = "reload"


_MEANT = {
    signal.SIGINT: Order.STOP,
    signal.SIGTERM: Order.STOP,
    signal.SIGHUP: Order.RELOAD,
}


class Orders:
    """The orders that came and were not taken, first come first; signals are taken as orders
    between `__enter__` and `__exit__`, both in the main thread.

    They come through a pipe that the signal itself writes to. Python's own handlers run only when
    the main thread gets to its next instruction, which a thread that went to wait at that moment,
    or whose signal another thread received, never does: the order would be lost.
    """

    def __enter__(self) -> Orders:
        self._come, self._sent = os.pipe()
        os.set_blocking(self._sent, False)
        self._wakeup = signal.set_wakeup_fd(self._sent, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _noted) for number in _MEANT}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._come)
        os.close(self._sent)

    def get(self) -> Order:
        """The next order, waited for."""
        while True:
            order = _MEANT.get(signal.Signals(os.read(self._come, 1)[0]))
            if order is not None:
                return order

    def empty(self) -> bool:
        """Whether no order waits."""
        readable, _, _ = select.select([self._come], [], [], 0)
        return not readable


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Here so that the signal is handled at all; what it says is in the pipe."""
