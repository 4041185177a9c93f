"""What the server holds when it is asked: stores with schemas and tuples, and some to delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.authzen import world
from tests.openfga import model
from tests.openfga.client import Fga

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seeded:
    """The names that requests are about: of a native store, and of an OpenFGA store and its model.
    The doomed ones hold nothing, and are for the calls that delete."""

    store: str
    doomed: str
    fga: str
    fga_model: str
    fga_doomed: str


async def seed(http: httpx.AsyncClient) -> Seeded:
    """Fill a server that has the empty store `default`."""
    store = "default"
    await _send(http, "PUT", f"/v1/stores/{store}/schema", {"schema": world.SCHEMA})
    updates = [{"op": "touch", "tuple": item} for item in world.TUPLES]
    await _send(http, "POST", f"/v1/stores/{store}/write", {"updates": updates})
    await _send(http, "POST", "/v1/stores", {"name": "doomed"})
    fga = await Fga.create(http, model.MODEL)
    await fga.write(*model.TUPLES, model.conditional("user:cy"))
    key = {"tuple_key": {"user": "user:ann", "relation": "viewer", "object": "document:plan"}}
    await fga.send(
        "PUT",
        f"/stores/{fga.store}/assertions/{fga.model}",
        {"assertions": [{**key, "expectation": True}]},
    )
    doomed = await Fga.create(http, name="doomed")
    return Seeded(store, "doomed", fga.store, fga.model, doomed.store)


async def _send(http: httpx.AsyncClient, method: str, path: str, body: Json) -> None:
    response = await http.request(method, path, json=body)
    assert response.is_success, response.text
