"""What every storage does with the titles of stores, and with lists of some of them."""

from __future__ import annotations

from uuid import uuid4

import pytest

from engine.errors import StoreNotFound
from engine.store.protocol import Storage


class TitlesContract:
    """Stores have names of their own, and titles that others may have, too."""

    async def test_a_title_stays_with_its_store(self, storage: Storage) -> None:
        name, title = f"t{uuid4().hex}", "Été / “café” \U0001f600"
        record = await storage.create_store(name, title)
        assert record.title == title
        assert await storage.get_store(name) == record
        assert await storage.list_stores("", 1, prefix=name) == [record]
        untitled = await storage.create_store(f"t{uuid4().hex}")
        assert untitled.title == ""

    async def test_stores_are_listed_by_how_their_names_begin(self, storage: Storage) -> None:
        prefix = f"p{uuid4().hex}-"
        names = [prefix + suffix for suffix in ("a", "a-b", "b", "zz")]
        for name in [*reversed(names), prefix[:-1], f"{prefix[:-1]}a", f"{prefix[:-1]}0"]:
            await storage.create_store(name)
        listed = await storage.list_stores("", 100, prefix=prefix)
        assert [record.name for record in listed] == names
        some = await storage.list_stores(names[0], 2, prefix=prefix)
        assert [record.name for record in some] == names[1:3]
        assert await storage.list_stores(names[3], 100, prefix=prefix) == []
        before = await storage.list_stores("a", 1, prefix=prefix)
        assert [record.name for record in before] == names[:1]

    async def test_stores_of_one_title_are_listed(self, storage: Storage) -> None:
        prefix, title = f"p{uuid4().hex}-", uuid4().hex
        titles = {"a": title, "b": title.upper(), "c": title, "d": "", "e": title}
        for suffix, given in titles.items():
            await storage.create_store(prefix + suffix, given)
        await storage.create_store(f"o{uuid4().hex}", title)
        listed = await storage.list_stores("", 100, prefix=prefix, title=title)
        assert [record.name[-1] for record in listed] == ["a", "c", "e"]
        some = await storage.list_stores(prefix + "a", 1, prefix=prefix, title=title)
        assert [record.name[-1] for record in some] == ["c"]
        assert len(await storage.list_stores("", 100, title=title)) == 4
        await storage.delete_store(f"{prefix}c")
        left = await storage.list_stores("", 100, prefix=prefix, title=title)
        assert [record.name[-1] for record in left] == ["a", "e"]

    async def test_a_title_changes_and_nothing_else_does(self, storage: Storage) -> None:
        name, title = f"t{uuid4().hex}", uuid4().hex
        record = await storage.create_store(name, "first")
        assert record.updated_at is None
        changed = await storage.retitle_store(name, title)
        assert changed.updated_at is not None
        assert changed.updated_at >= record.created_at
        assert changed == record._replace(title=title, updated_at=changed.updated_at)
        assert await storage.get_store(name) == changed
        assert await storage.list_stores("", 9, title=title) == [changed]
        with pytest.raises(StoreNotFound):
            await storage.retitle_store(f"{name}x", title)
