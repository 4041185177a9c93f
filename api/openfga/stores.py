"""The calls about stores. A store's name is free text; its id is what the engine's name is made of.

PatchStore is in OpenFGA's API and not implemented there; here it renames.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from api.asgi import Answer
from api.calls import Call
from api.errors import Forbidden
from api.fga_ids import store_id, store_name
from api.openfga import fields
from api.openfga.answers import answer, no_content
from api.openfga.chosen import chosen_id
from api.openfga.fields import body_of
from api.openfga.keys import timestamp
from api.openfga.paging import page_of, query_of
from engine.errors import StoreNotFound
from engine.store.protocol import StoreRecord

_PREFIX = store_name("")


async def create_store(call: Call) -> Answer:
    """`POST /stores`."""
    body = body_of(await call.text(), "CreateStoreRequest")
    title = body.text("name", fields.STORE_NAME)
    if call.principal.stores is not None:
        raise Forbidden("the key is for some stores only")
    record = await call.engine.create_store(store_name(chosen_id(call)), title)
    return answer(_told(record), status=201)


async def list_stores(call: Call) -> Answer:
    """`GET /stores`. A key that is scoped to stores sees those alone."""
    query = query_of(call, "ListStoresRequest")
    size, cursor = page_of(query)
    await call.no_body()
    records, following = await call.engine.list_stores(
        limit=size,
        cursor=cursor,
        prefix=_PREFIX,
        title=query.text("name", fields.ANY_TEXT),
        names=call.principal.stores,
    )
    seen = [{**_told(record), "deleted_at": None} for record in records if store_id(record.name)]
    return answer({"stores": seen, "continuation_token": following or ""})


async def get_store(call: Call) -> Answer:
    """`GET /stores/{store_id}`."""
    await call.no_body()
    record = await call.engine.get_store(call.store)
    return answer({**_told(record), "deleted_at": None})


async def update_store(call: Call) -> Answer:
    """`PATCH /stores/{store_id}`: gives it another name."""
    body = body_of(await call.text(), "UpdateStoreRequest")
    title = body.text("name", fields.STORE_NAME)
    record = await call.engine.retitle_store(call.store, title)
    return answer(_told(record))


async def delete_store(call: Call) -> Answer:
    """`DELETE /stores/{store_id}`: also of one that is not there."""
    await call.no_body()
    with suppress(StoreNotFound):
        await call.engine.delete_store(call.store)
    return no_content()


def _told(record: StoreRecord) -> dict[str, Any]:
    return {
        "id": store_id(record.name),
        "name": record.title,
        "created_at": timestamp(record.created_at),
        "updated_at": timestamp(record.updated_at or record.created_at),
    }
