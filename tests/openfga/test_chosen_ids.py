"""Ids that a client chooses for what it copies."""

from __future__ import annotations

from typing import Any

from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from tests.api.serving import serving
from tests.openfga.model import MODEL

STORE = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MODEL_ID = "01BX5ZZKBKACTAV9WEVGEMMVRZ"


async def test_a_store_and_a_model_get_the_ids_that_are_asked_for() -> None:
    async with serving() as served:

        async def post(path: str, body: Any, id_: str) -> tuple[int, Any]:
            headers = {"stonetown-id": id_}
            response = await served.http.post(path, json=body, headers=headers)
            return response.status_code, response.json()

        store = {"name": "acme"}
        model = encode_model(parse_model(MODEL))
        models = f"/stores/{STORE}/authorization-models"
        status, told = await post("/stores", store, STORE)
        assert (status, told["id"], told["name"]) == (201, STORE, "acme")
        assert await post(models, model, MODEL_ID) == (201, {"authorization_model_id": MODEL_ID})
        for path, body, id_ in (("/stores", store, STORE), (models, model, MODEL_ID)):
            status, told = await post(path, body, id_)
            assert (status, told["code"]) == (409, "already_exists")
        for odd in ("", "x", STORE.lower(), f"{STORE}0", "../../../../../../../../etc"):
            status, told = await post("/stores", store, odd)
            assert (status, told["code"]) == (400, "validation_error"), odd
        read = (await served.http.get(f"{models}/{MODEL_ID}")).json()
        again = await served.http.post(models, json=read["authorization_model"])
        assert again.status_code == 201
        assert again.json()["authorization_model_id"] != MODEL_ID  # as in OpenFGA: no field does it
