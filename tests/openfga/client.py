"""A client of OpenFGA's API as thin as can be: bodies in, bodies or error codes out."""

from __future__ import annotations

import json
from typing import Any

import httpx

from api.openfga.errors import CODES
from schema.fga.encode import encode_model
from schema.fga.language import parse_model

Json = dict[str, Any]


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, response: httpx.Response) -> None:
        told = response.json()
        super().__init__(f"{response.status_code} {told['code']}: {told['message']}")
        self.status = response.status_code
        self.code: str = told["code"]
        self.number = CODES.get(self.code, 0)
        self.message: str = told["message"]


class Fga:
    """One store of a server, asked by one model."""

    def __init__(self, http: httpx.AsyncClient, store: str, model: str = "") -> None:
        self.http = http
        self.store = store
        self.model = model

    @classmethod
    async def create(cls, http: httpx.AsyncClient, dsl: str = "", name: str = "test") -> Fga:
        """A client of a new store, with this model."""
        made = await cls(http, "").send("POST", "/stores", {"name": name})
        fga = cls(http, made["id"])
        if dsl:
            await fga.write_model(dsl)
        return fga

    async def send(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Send a request. Raises Refusal."""
        content = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"}
        response = await self.http.request(
            method, path, content=content, headers=headers, params=query or None
        )
        if response.status_code >= 400:
            raise Refusal(response)
        return response.json() if response.content else None

    async def call(self, name: str, body: Json) -> Any:
        """POST to a call of the store, by the model."""
        stated = {"authorization_model_id": self.model, **body} if self.model else body
        return await self.send("POST", f"/stores/{self.store}/{name}", stated)

    async def write_model(self, dsl: str) -> str:
        """Write a model and ask by it from now on."""
        model = encode_model(parse_model(dsl))
        path = f"/stores/{self.store}/authorization-models"
        self.model = (await self.send("POST", path, model))["authorization_model_id"]
        return self.model

    async def write(self, *tuples: Json | str, **options: str) -> None:
        """Write tuples."""
        keys = [tuple_key(item) for item in tuples]
        await self.call("write", {"writes": {"tuple_keys": keys, **options}})

    async def delete(self, *tuples: Json | str, **options: str) -> None:
        """Delete tuples."""
        keys = [tuple_key(item) for item in tuples]
        await self.call("write", {"deletes": {"tuple_keys": keys, **options}})

    async def check(self, key: Json | str, tuples: Any = (), **more: Any) -> bool:
        """Whether a check is allowed."""
        body = {"tuple_key": tuple_key(key), **contextual(tuples), **more}
        return bool((await self.call("check", body))["allowed"])

    async def list_objects(
        self, user: str, relation: str, kind: str, tuples: Any = (), **more: Any
    ) -> list[str]:
        """The objects, and the same streamed, which must be the same."""
        asked = {"user": user, "relation": relation, "type": kind}
        body = {**asked, **contextual(tuples), **more}
        whole: list[str] = (await self.call("list-objects", body))["objects"]
        assert len(set(whole)) == len(whole)
        assert await self.streamed(body) == whole
        return whole

    async def streamed(self, body: Json) -> list[str]:
        """The objects that a stream tells. Raises Refusal before the first, or AssertionError."""
        stated = {"authorization_model_id": self.model, **body} if self.model else body
        path = f"/stores/{self.store}/streamed-list-objects"
        response = await self.http.post(path, json=stated)
        if response.status_code >= 400:
            raise Refusal(response)
        return [json.loads(line)["result"]["object"] for line in response.text.splitlines()]

    async def list_users(
        self, object_: str, relation: str, wanted: str, tuples: Any = (), **more: Any
    ) -> list[str]:
        """The users of the form `type` or `type#relation`, each as text."""
        kind, _, id_ = object_.partition(":")
        of_type, _, of_relation = wanted.partition("#")
        form = {"type": of_type, **({"relation": of_relation} if of_relation else {})}
        body = {
            "object": {"type": kind, "id": id_},
            "relation": relation,
            "user_filters": [form],
            "contextual_tuples": [tuple_key(item) for item in tuples],
            **more,
        }
        found = (await self.call("list-users", body))["users"]
        return [_user(one) for one in found]


def tuple_key(item: Json | str) -> Json:
    """A tuple key as JSON: it may be given as `object#relation@user`."""
    if not isinstance(item, str):
        return item
    left, _, user = item.partition("@")
    object_, _, relation = left.rpartition("#")
    return {"user": user, "relation": relation, "object": object_}


def contextual(tuples: Any) -> Json:
    """Contextual tuples as most calls take them."""
    keys = [tuple_key(item) for item in tuples]
    return {"contextual_tuples": {"tuple_keys": keys}} if keys else {}


def _user(told: Json) -> str:
    (kind, one), *rest = told.items()
    assert not rest
    if kind == "wildcard":
        return f"{one['type']}:*"
    text = f"{one['type']}:{one['id']}"
    return f"{text}#{one['relation']}" if kind == "userset" else text
