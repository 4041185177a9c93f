"""Questions about a store by its name, which may just have been given to another store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from engine.consistency import Freshness
from engine.errors import StoreNotFound, ZookieUnknown

P = ParamSpec("P")
T = TypeVar("T")


class Asked(Protocol):
    """What has the questions: it knows names as well as its `freshness` does."""

    freshness: Freshness


A = TypeVar("A", bound=Asked)


def by_name(
    ask: Callable[Concatenate[A, str, P], Awaitable[T]],
) -> Callable[Concatenate[A, str, P], Coroutine[Any, Any, T]]:
    """`ask`, which names a store, asked again if it fails for want of a store that was deleted and
    created anew through another node. Both errors come before anything is written."""

    @wraps(ask)
    async def asked(self: A, store: str, /, *arguments: P.args, **options: P.kwargs) -> T:
        known = self.freshness.known_as(store)
        try:
            return await ask(self, store, *arguments, **options)
        except (StoreNotFound, ZookieUnknown):
            if not known or (await self.freshness.store(store, fresh=True)).id == known:
                raise
        return await ask(self, store, *arguments, **options)

    return asked
