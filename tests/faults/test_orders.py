"""Signals as the parent of workers takes them: none is lost, whenever and wherever it comes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from api.orders import Order, Orders

PATIENCE_SECONDS = 10.0


@pytest.fixture
def orders() -> Iterator[Orders]:
    """Orders of this test, after which signals mean again what they meant."""
    taken = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in taken}
    yield Orders()
    signal.set_wakeup_fd(-1)
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
