"""The documents that the server is held to: its own two, and the one that OpenFGA publishes."""

from __future__ import annotations

import json
from typing import Any

import httpx

from api.authzen.wire import AuthzenError
from tests.conformance.data import ROOT
from tests.contract.asking import Document
from tests.contract.seeding import Seeded

Json = dict[str, Any]

SWAGGER = ROOT / "openfga" / "apidocs.swagger.json"

NULLABLE = {
    "Store": ("deleted_at",),
    "GetStoreResponse": ("deleted_at",),
    "TupleKey": ("condition",),
    "RelationshipCondition": ("context",),
    "Assertion": ("context",),
    "TypeDefinition": ("metadata",),
    "Metadata": ("source_info",),
    "RelationMetadata": ("source_info",),
    "Condition": ("metadata",),
    "ConditionMetadata": ("source_info",),
}
"""The messages in answers that are `null` where they are not set, by definition. OpenFGA's server
emits all members (protojson's EmitUnpopulated), and its SDKs are made for that; its document, made
from the same messages, has no `null` at all."""

AUTHZEN_ERRORS = ("/access/v1/", "/.well-known/")
"""AuthZEN's calls refuse in the same words for every kind of store (docs/authzen.md): the standard
asks for a status alone, and OpenFGA's numbered codes have no names for what is wrong there."""


async def documents(
    http: httpx.AsyncClient, seeded: Seeded, *, strict: bool = False
) -> list[Document]:
    """All that are there. With `strict` the published one is taken to the letter."""
    native = (await http.get("/openapi.json")).json()
    openfga = (await http.get("/openfga/openapi.json")).json()
    model = seeded.fga_model
    named = {"path.store_id": seeded.fga, "path.authorization_model_id": model, "path.id": model}
    gone = {"/stores/{store_id}": {"path.store_id": seeded.fga_doomed}}
    found = [
        Document(
            "/openapi.json",
            native,
            {"path.store": seeded.store},
            {"/v1/stores/{store}": {"path.store": seeded.doomed}},
        ),
        Document("/openfga/openapi.json", openfga, named, gone),
    ]
    if SWAGGER.exists():
        published = json.loads(SWAGGER.read_text())
        if not strict:
            _correct(published)
        found.append(Document(SWAGGER.name, published, named, gone))
    return found


def _correct(published: Json) -> None:
    """Change the document where OpenFGA's own server, or ours on purpose, does not answer by it."""
    for name, members in NULLABLE.items():
        properties = published["definitions"][name]["properties"]
        for member in members:
            properties[member] = {"anyOf": [properties[member], {"type": "null"}]}
    problem = AuthzenError.model_json_schema()
    for path, methods in published["paths"].items():
        if any(part in path for part in AUTHZEN_ERRORS):
            for operation in methods.values():
                for status, told in operation["responses"].items():
                    if int(status) >= 400:
                        told["schema"] = problem
