"""What every storage does with the documents that dialects keep."""

from __future__ import annotations

import pytest

from engine.errors import StoreNotFound
from engine.store.protocol import Storage
from tests.store.tenant import Tenant


class DocumentsContract:
    """A document is of one store, one kind and one name."""

    async def test_a_document_is_the_text_that_was_written_last(
        self, storage: Storage, tenant: Tenant
    ) -> None:
        assert await storage.document(tenant.id, "kind", "name") is None
        for text in ("", "Été \U0001f600\n", "x" * 100_000, "last"):
            await storage.put_document(tenant.id, "kind", "name", text)
            assert await storage.document(tenant.id, "kind", "name") == text

    async def test_documents_do_not_mix(self, storage: Storage, tenant: Tenant) -> None:
        other = await Tenant.make(storage)
        keys = [(tenant, "ab", "c"), (tenant, "a", "bc"), (tenant, "ab", "C"), (other, "ab", "c")]
        for number, (of, kind, name) in enumerate(keys):
            await storage.put_document(of.id, kind, name, str(number))
        for number, (of, kind, name) in enumerate(keys):
            assert await storage.document(of.id, kind, name) == str(number)

    async def test_a_document_takes_no_revision(self, storage: Storage, tenant: Tenant) -> None:
        before = await tenant.snapshot()
        await storage.put_document(tenant.id, "kind", "name", "text")
        assert await tenant.snapshot() == before

    async def test_documents_go_with_their_store(self, storage: Storage, tenant: Tenant) -> None:
        await storage.put_document(tenant.id, "kind", "name", "text")
        await storage.delete_store(tenant.name)
        with pytest.raises(StoreNotFound):
            await storage.document(tenant.id, "kind", "name")
        with pytest.raises(StoreNotFound):
            await storage.put_document(tenant.id, "kind", "name", "text")
