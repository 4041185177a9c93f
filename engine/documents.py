"""What dialects keep beside tuples and schemas, by store: texts that no answer depends on."""

from __future__ import annotations

from engine.consistency import Freshness
from engine.errors import InvalidRequest
from engine.naming import by_name
from engine.store.protocol import Storage, StoreRecord

TITLE_LENGTH = 256


def check_title(title: str) -> None:
    """Raises InvalidRequest unless a store may have this title."""
    if len(title) > TITLE_LENGTH or not title.isprintable():
        raise InvalidRequest(
            "not a title", field="title", expected=f"up to {TITLE_LENGTH} printable characters"
        )


class Documents:
    """The façade's part for titles and documents. Nothing is decided here."""

    freshness: Freshness
    storage: Storage

    async def retitle_store(self, store: str, title: str) -> StoreRecord:
        """Give a store another title. Raises InvalidRequest and StoreNotFound."""
        check_title(title)
        record = await self.storage.retitle_store(store, title)
        self.freshness.forget_store(store)
        return record

    @by_name
    async def put_document(self, store: str, kind: str, name: str, text: str) -> None:
        """Write or replace a document. Raises StoreNotFound."""
        record = await self.freshness.store(store)
        await self.storage.put_document(record.id, kind, name, text)

    @by_name
    async def document(self, store: str, kind: str, name: str) -> str | None:
        """The text of a document, None if there is none. Raises StoreNotFound."""
        record = await self.freshness.store(store)
        return await self.storage.document(record.id, kind, name)
