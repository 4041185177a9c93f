"""The announcer over Redis or Valkey: each store's recent writes, and news of them.

Each store has a record of recent writes with a random id, lost as a whole or not at all
(`publish.lua`). What Redis says is believed only when it speaks of a newer write. That it knows of
none is believed only if the record is the same one that this node saw, over this very connection,
before it last read the store's head: a record that was flushed, evicted or expired has another id,
and a server that restarted or failed over has other connections. Everything written since that
sight is in the record, and everything written before it is in the head. No clock is compared.

A node asks for all that was written since a revision, whatever the objects, so that the checks of
a moment have one question together.

Connections must lead to one server that holds one memory: not to a proxy that spreads commands.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from hashlib import sha1
from importlib.resources import files
from secrets import token_hex
from typing import Any, NamedTuple

from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from engine.cache.announcer import News
from engine.cache.exchange import Command, Exchange
from engine.cache.listener import Listener
from engine.cache.publishing import Publishing
from engine.cache.shared import Lru, elapsed
from engine.digest import digest
from engine.store.protocol import Snapshot
from engine.tuples import Object

_log = logging.getLogger(__name__)

_READ_SECONDS = 0.05
_PUBLISH_SECONDS = 0.25
_SILENCE_SECONDS = (0.05, 1.0)
"""How long a Redis that is presumed away is not asked: at first, and in the end."""
_LOG_SECONDS = 10.0
_CONNECTIONS = 2
"""One to ask, one to publish: neither waits for the other."""
_STORES = 10_000
_RECORD_NAMES = 2_000
_NEWEST = 256
_KEPT_SECONDS = 24 * 60 * 60
_WHOLE_STORE = b"all"
_NAMED_OBJECTS = 1_000
_NAMES_KEPT = 4_096
_REVISION = re.compile(rb"[0-9]{1,19}")
_PUBLISH = files("engine.cache").joinpath("publish.lua").read_text("utf-8")
_DIGEST = sha1(_PUBLISH.encode(), usedforsecurity=False).hexdigest()
"""The name that Redis gives to the script."""

_ID = re.compile(rb"id:[0-9a-f]{32}")

# The id of each store's record and when it was first seen over a connection.
Sightings = Lru[str, tuple[bytes, float]]


class _Since(NamedTuple):
    """A question: what was written to a store after a revision."""

    store_id: str
    revision: int


class Record(NamedTuple):
    """What is on record: since when that is known to be whole, the revisions of objects by name,
    and the revision up to which objects that are not named may have been written. See
    `engine.cache.announcer.Written`."""

    seen: float
    named: dict[bytes, int]
    unnamed: int

    def newest(self, objects: Collection[Object]) -> int:
        """See `Written.newest`."""
        newest, named = self.unnamed, self.named
        if named:
            newest = max(newest, named.get(_WHOLE_STORE, 0))
            for item in objects:
                newest = max(newest, named.get(_name(item), 0))
        return newest


class RedisAnnouncer:
    """See `engine.cache.announcer.Announcer`. Faults of Redis are counted, never raised.

    `url` is `redis://`, `rediss://` or `unix://`, as redis-py takes it. Deployments that share a
    Redis differ in `prefix`. `clock` is the clock of the node's Freshness.
    """

    def __init__(
        self, url: str, *, prefix: str = "stonetown", clock: Callable[[], float] = elapsed
    ) -> None:
        self._prefix = prefix
        self._clock = clock
        self._publishing = Publishing(self._send, most_names=_NAMED_OBJECTS)
        self._pool = _pool(url, _CONNECTIONS, socket_timeout=None, redis_connect_func=self._greet)
        self._exchange = Exchange(
            self._pool,
            seconds=_READ_SECONDS,
            command=self._question,
            understand=self._understand,
        )
        self._commands: Exchange[Command, Any] = Exchange(
            self._pool, seconds=_PUBLISH_SECONDS, command=_as_it_is, understand=_as_it_came
        )
        self._beginning: set[str] = set()
        self._listener = Listener(url, channel=f"{prefix}:1:news")
        self._silent_until = float("-inf")
        self._silence = 0.0
        self._next_log = float("-inf")
        self._away = False
        self.faults = 0

    async def publish(self, snapshot: Snapshot, objects: Collection[Object] | None) -> bool:
        """See `Announcer.publish`."""
        names = None
        if objects is not None and len(objects) <= _NAMED_OBJECTS:
            names = {_name(item) for item in objects}
        return await self._publishing.publish(snapshot.store_id, snapshot.revision, names)

    async def _send(self, store_id: str, revision: int, names: Collection[bytes] | None) -> bool:
        named = [_WHOLE_STORE] if names is None else names
        return await self._record(store_id, revision, named, announce=True)

    async def written_since(
        self, store_id: str, revision: int, known_as_of: float
    ) -> Record | None:
        """See `Announcer.written_since`; waits about 50 ms at most, for its one exchange."""
        if self._away and not self._worth_asking():
            return None
        try:
            record = await self._exchange.ask(_Since(store_id, revision))
        except (RedisError, OSError, TimeoutError) as error:
            self._presume_away(error)
            return None
        self._away = False
        if record is None:
            await self._begin(store_id)
            return None
        return record if record.seen < known_as_of else None

    def ask_written(
        self,
        store_id: str,
        revision: int,
        known_as_of: float,
        told: Callable[[Record | None], None],
    ) -> None:
        """See `Announcer.ask_written`; `written_since` begins a record where there is none."""

        def answered(found: Record | Exception | None) -> None:
            if isinstance(found, Exception):
                self._presume_away(found)
                told(None)
            else:
                self._away = False
                told(found if found is not None and found.seen < known_as_of else None)

        if self._away:
            told(None)
        else:
            self._exchange.ask_now(_Since(store_id, revision), answered)

    async def forget(self, store_id: str) -> None:
        """See `Announcer.forget`."""
        try:
            await self._commands.ask(("DEL", self._key(store_id)))
        except (RedisError, OSError, TimeoutError) as error:
            self._fault(error)

    def listen(self, store_id: str) -> AbstractAsyncContextManager[News]:
        """See `Announcer.listen`."""
        return self._listener.listen(store_id)

    async def close(self) -> None:
        """See `Announcer.close`."""
        await self._listener.close()
        await self._publishing.close()
        await self._exchange.close()
        await self._commands.close()
        await self._pool.aclose()

    async def _begin(self, store_id: str) -> None:
        """Have a record, so that writes which are not on it are known not to have been."""
        if store_id not in self._beginning:
            self._beginning.add(store_id)
            try:
                await self._record(store_id, 0, [], announce=False)
            finally:
                self._beginning.discard(store_id)

    async def _record(
        self, store_id: str, revision: int, names: Collection[bytes], *, announce: bool
    ) -> bool:
        limits = (f"{_RECORD_NAMES}", f"{_KEPT_SECONDS}")
        news = (f"{self._prefix}:1:news", store_id if announce else "")
        identity = (f"id:{token_hex(16)}", f"{revision}")
        asked: Command = ("1", self._key(store_id), *identity, *limits, *news, *names)
        try:
            await self._run_script(asked)
        except (RedisError, OSError, TimeoutError) as error:
            self._fault(error)
            return False
        return True

    async def _run_script(self, asked: Command) -> None:
        """Run `publish.lua`. Raises RedisError, OSError and TimeoutError."""
        try:
            await self._commands.ask(("EVALSHA", _DIGEST, *asked))
        except ResponseError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
            # It is a new server, or one that was told to forget.
            await self._commands.ask(("EVAL", _PUBLISH, *asked))

    def _question(self, since: _Since) -> Command:
        newer = (f"({since.revision}", "WITHSCORES", "LIMIT", "0", f"{_NEWEST + 1}")
        return ("ZREVRANGEBYSCORE", self._key(since.store_id), "+inf", *newer)

    def _understand(
        self, since: _Since, reply: list[bytes] | ResponseError, sightings: Sightings
    ) -> Record | None:
        """The record that the reply shows; None if it is none, which publishing then begins."""
        if isinstance(reply, ResponseError) or not reply or not _ID.fullmatch(reply[0]):
            return None
        names, revisions = reply[2::2], reply[3::2]
        if not all(map(_REVISION.fullmatch, revisions)):
            return None
        id_, now = reply[0], self._clock()
        known = sightings.used(since.store_id)
        if known is None or known[0] != id_:
            known = sightings.put(since.store_id, (id_, now))
        written = dict(zip(names, map(int, revisions), strict=True))
        unnamed = min(written.values()) if len(written) >= _NEWEST else 0
        return Record(known[1], written, unnamed)

    async def _greet(self, connection: Any) -> None:
        """What was seen over an earlier connection counts no more: it may be another server."""
        try:
            await connection.on_connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        connection.session = Sightings(_STORES)

    def _key(self, store_id: str) -> str:
        # Braces keep a store's keys on one node of a cluster. A store id has a fixed length.
        return f"{self._prefix}:2:{{{store_id}}}:writes"

    def _presume_away(self, error: Exception) -> None:
        self._fault(error)
        if not self._away:
            self._silence = _SILENCE_SECONDS[0]
        self._away, self._silent_until = True, self._clock() + self._silence

    def _worth_asking(self) -> bool:
        """Whether to ask a Redis that is presumed away: one question at a time finds out, soon at
        first, for it may only have been slow once, and once a second in the end."""
        now = self._clock()
        if now < self._silent_until:
            return False
        self._silence = min(2 * self._silence, _SILENCE_SECONDS[1])
        self._silent_until = now + self._silence
        return True

    def _fault(self, error: Exception) -> None:
        self.faults += 1
        now = self._clock()
        if now >= self._next_log:
            self._next_log = now + _LOG_SECONDS
            _log.warning("redis does not serve: %s (%d faults)", type(error).__name__, self.faults)


def _as_it_is(command: Command) -> Command:
    return command


def _as_it_came(_command: Command, reply: Any, _session: Any) -> Any:
    return reply


def _pool(url: str, connections: int, **settings: Any) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=_PUBLISH_SECONDS,
        socket_connect_timeout=_PUBLISH_SECONDS,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        **({"socket_timeout": _PUBLISH_SECONDS} | settings),
    )


@lru_cache(_NAMES_KEPT)
def _name(item: Object) -> bytes:
    """An object's field: short whatever the object, and nothing a client chose."""
    return digest(item.type, item.id)[:16]
