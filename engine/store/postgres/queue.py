"""Writes of this process that wait for the same store, carried out together (group commit).

While one transaction of a store runs, the writes that arrive wait, and the next transaction takes
them all. Nobody waits for company: a write that finds nothing running begins at once. Between
processes the lock on the store's row orders the transactions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from copy import copy

from engine.errors import EngineError, OutcomeUnknown, StoreNotFound, Unavailable
from engine.store.postgres.transaction import shape
from engine.store.postgres.write import Written
from engine.store.protocol import WriteCommand, WriteOutcome

MOST_REQUESTS = 256
MOST_UPDATES = 2_000
MOST_BYTES = 4 * 1024 * 1024
"""How much one transaction takes together; a larger write is alone in its own."""

MOST_WAITING = 4_096
MOST_WAITING_BYTES = 64 * 1024 * 1024
"""How much may wait for one store."""

_TUPLE_BYTES = 200
# Filters that are answered from the rows of one object; others may walk very many rows, for which
# writes that ask nothing of the kind need not wait.
_NARROW = frozenset("oO")
# Either nothing was done, whoever asked, or nobody knows: asking one by one would not help.
_FOR_ALL = (OutcomeUnknown, StoreNotFound, Unavailable)

Carry = Callable[[str, Sequence[WriteCommand]], Awaitable[list[Written]]]


class WriteQueues:
    """A queue per store. `carry` carries out a sequence of writes in one transaction, as
    `engine.store.postgres.write.write` does."""

    def __init__(self, carry: Carry) -> None:
        self._carry = carry
        self._queues: dict[str, _Queue] = {}
        self._closed = False

    async def write(self, store_id: str, command: WriteCommand) -> WriteOutcome:
        """See `Storage.write`. Raises Unavailable when too much waits for the store.

        A caller that is cancelled while it waits has written nothing; after that its write goes
        on, as do those that share its transaction.
        """
        if self._closed:
            raise Unavailable("the storage was closed")
        queue = self._queues.get(store_id)
        if queue is None:
            queue = self._queues[store_id] = _Queue()
        waiting = queue.add(command)
        if queue.task is None:
            queue.task = asyncio.create_task(self._run(store_id, queue))
        try:
            return await waiting.done
        finally:
            queue.drop(waiting)

    async def close(self) -> None:
        """Refuse those who wait, and wait for what is under way to end."""
        self._closed = True
        running = [queue.task for queue in self._queues.values() if queue.task is not None]
        for queue in self._queues.values():
            queue.refuse(Unavailable("the storage was closed"))
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, store_id: str, queue: _Queue) -> None:
        """Carry out what waits until nothing does."""
        try:
            while group := queue.take():
                await self._together(store_id, queue, group)
        finally:
            # Nothing was awaited since the queue was found empty.
            del self._queues[store_id]
            queue.refuse(Unavailable("the storage was closed"))

    async def _together(self, store_id: str, queue: _Queue, group: list[_Waiting]) -> None:
        """Carry out a group, or as much of its beginning as can be; the rest waits again."""
        try:
            written = await self._carry(store_id, [waiting.command for waiting in group])
        except _FOR_ALL as error:
            _settle(group, _for_each(error, group))
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
            if len(group) == 1:
                _settle(group, [error])
                return
            # One of them does not let the others through, and only it is to hear of that.
            for waiting in group:
                if not waiting.done.done():
                    await self._together(store_id, queue, [waiting])
        except BaseException:
            _settle(group, _for_each(OutcomeUnknown("the storage was closed"), group))
            raise
        else:
            _settle(group, written)
            queue.put_back(group[len(written) :])


class _Waiting:
    """One write, and who waits for it."""

    __slots__ = ("alone", "command", "done", "size")

    def __init__(self, command: WriteCommand) -> None:
        self.command = command
        self.done: asyncio.Future[WriteOutcome] = asyncio.get_running_loop().create_future()
        self.size = _size(command)
        self.alone = len(command.updates) >= MOST_UPDATES or any(
            shape(wanted) not in _NARROW for _, wanted in command.preconditions
        )


class _Queue:
    """What waits for one store, in order of arrival, and the task that carries it out."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0

    def add(self, command: WriteCommand) -> _Waiting:
        """Let a write wait. Raises Unavailable."""
        waiting = _Waiting(command)
        full = len(self._waiting) >= MOST_WAITING
        if full or (self._waiting and self._bytes + waiting.size > MOST_WAITING_BYTES):
            raise Unavailable("too many writes wait for the store")
        self._waiting.append(waiting)
        self._bytes += waiting.size
        return waiting

    def take(self) -> list[_Waiting]:
        """The first of those who wait, as many as go together."""
        group: list[_Waiting] = []
        updates = size = 0
        while self._waiting:
            first = self._waiting[0]
            updates += len(first.command.updates)
            size += first.size
            full = len(group) >= MOST_REQUESTS or updates > MOST_UPDATES or size > MOST_BYTES
            if group and (full or first.alone):
                break
            group.append(self._waiting.popleft())
            self._bytes -= first.size
            if first.alone:
                break
        return group

    def put_back(self, group: Sequence[_Waiting]) -> None:
        """Let those who were taken and not carried out wait again, before all others."""
        left = [waiting for waiting in group if not waiting.done.done()]
        self._waiting.extendleft(reversed(left))
        self._bytes += sum(waiting.size for waiting in left)

    def drop(self, waiting: _Waiting) -> None:
        """Forget a write whose caller was cancelled; one that was taken already goes on."""
        if waiting.done.cancelled() and waiting in self._waiting:
            self._waiting.remove(waiting)
            self._bytes -= waiting.size

    def refuse(self, error: Unavailable) -> None:
        """Tell everyone who waits that nothing was done."""
        _settle(self._waiting, _for_each(error, self._waiting))
        self._waiting.clear()
        self._bytes = 0


def _for_each(error: EngineError, group: Iterable[_Waiting]) -> list[EngineError]:
    """An error of its own for each, which others cannot add to."""
    errors = []
    for _ in group:
        made = copy(error)
        made.extra = dict(error.extra)
        made.__cause__ = error.__cause__
        errors.append(made)
    return errors


def _settle(group: Iterable[_Waiting], written: Sequence[WriteOutcome | Exception]) -> None:
    """Tell those who still wait what became of their writes."""
    for waiting, one in zip(group, written, strict=False):
        if waiting.done.done():
            continue
        if isinstance(one, Exception):
            waiting.done.set_exception(one)
        else:
            waiting.done.set_result(one)


def _size(command: WriteCommand) -> int:
    """About how many bytes a write takes; an identity may take more than is counted for one."""
    contexts = sum(len(update.tuple.context) for update in command.updates if update.tuple.caveat)
    return len(command.metadata) + contexts + _TUPLE_BYTES * len(command.updates)
