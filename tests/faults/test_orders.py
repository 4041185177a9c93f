"""Signals as the parent of workers takes them: none is lost, whenever and wherever it comes."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.orders import Order, Orders
from api.servers.readiness import Readiness, tell

PATIENCE_SECONDS = 10.0
SELECTABLE = 1_024
"""How many descriptors `select.select` knows."""


def descriptors() -> set[Path]:
    """Those that are open, but for the one that looks."""
    return {path for path in Path("/proc/self/fd").iterdir() if path.exists()}


@pytest.fixture
def many_open() -> Iterator[None]:
    """So many open that `select.select` does not know the next."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = SELECTABLE + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] <= SELECTABLE:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def orders() -> Iterator[Orders]:
    """Orders of this test, after which signals mean again what they meant."""
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in taken}
    yield Orders()
    os.close(signal.set_wakeup_fd(-1))
    for number, handler in before.items():
        signal.signal(number, handler)


def test_orders_wait_in_the_sequence_in_which_they_came(orders: Orders) -> None:
    assert orders.empty()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.raise_signal(number)
    assert not orders.empty()
    told = [orders.get() for _ in range(3)]
    assert told == [Order.STOP, Order.RELOAD, Order.STOP]
    assert orders.empty()


def test_the_number_of_a_descriptor_does_not_matter(many_open: None, orders: Orders) -> None:
    assert orders.empty()
    signal.raise_signal(signal.SIGHUP)
    assert not orders.empty()
    readiness = Readiness()
    with readiness.expected() as awaited:
        assert awaited > SELECTABLE
        assert not readiness.has_come()
        tell(os.dup(awaited))
        assert readiness.has_come()


def test_nothing_stays_open_of_a_child_that_was_waited_for() -> None:
    before = descriptors()
    readiness = Readiness()
    for told in (True, False, True):
        with readiness.expected() as awaited:
            if told:
                tell(os.dup(awaited))
        assert readiness.has_come() is told
        assert not readiness.has_come()
        assert descriptors() == before
    with readiness.expected():
        pass
    del readiness
    assert descriptors() == before


def test_an_order_wakes_who_waits_when_another_thread_received_it(orders: Orders) -> None:
    """The system picks any thread of a process when a signal follows close upon another."""
    with received_elsewhere(signal.SIGTERM) as was_late:
        assert orders.get() is Order.STOP
    assert not was_late.is_set()


@contextmanager
def received_elsewhere(number: signal.Signals) -> Iterator[threading.Event]:
    """Another thread receives a signal while the body waits; an event tells that the body had to be
    woken by a second signal, to this thread."""
    waits, woken, was_late = threading.Event(), threading.Event(), threading.Event()
    here = threading.get_ident()

    def receive() -> None:
        waits.wait()
        signal.pthread_kill(threading.get_ident(), number)
        if not woken.wait(PATIENCE_SECONDS):
            was_late.set()
            signal.pthread_kill(here, number)

    thread = threading.Thread(target=receive)
    thread.start()
    waits.set()
    try:
        yield was_late
    finally:
        woken.set()
        thread.join()
