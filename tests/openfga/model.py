"""A model with something of everything, and the store that the tests of the calls ask."""

from __future__ import annotations

from tests.api.serving import Served
from tests.openfga.client import Fga, Json

MODEL = """model
  schema 1.1

type user

type group
  relations
    define member: [user, group#member]

type folder
  relations
    define viewer: [user, user:*]

type document
  relations
    define parent: [folder]
    define owner: [user]
    define blocked: [user]
    define viewer: [user, user:*, group#member, user with small] or owner or viewer from parent
    define can_view: viewer but not blocked
    define can_share: owner and viewer

condition small(x: int) {
  x < 10
}
"""
TUPLES = (
    "document:plan#viewer@user:ann",
    "document:plan#owner@user:olga",
    "document:plan#viewer@group:eng#member",
    "document:plan#parent@folder:all",
    "document:open#viewer@user:*",
    "document:open#blocked@user:ann",
    "group:eng#member@user:gil",
    "folder:all#viewer@user:fay",
)


def conditional(user: str, context: Json | None = None) -> Json:
    """A tuple under the condition."""
    condition: Json = {"name": "small"}
    if context is not None:
        condition["context"] = context
    key = {"user": user, "relation": "viewer", "object": "document:plan"}
    return {**key, "condition": condition}


async def filled(served: Served) -> Fga:
    """A store with all of it."""
    fga = await Fga.create(served.http, MODEL)
    await fga.write(*TUPLES, conditional("user:cy"))
    return fga
