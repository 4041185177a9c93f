"""OpenFGA's own SDK drives every call: it takes what the server answers, and knows its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openfga_sdk.exceptions import (
    ForbiddenException,
    NotFoundException,
    RateLimitExceededError,
    ServiceException,
    UnauthorizedException,
    ValidationException,
)

from engine.errors import Unavailable
from schema.fga.encode import encode_model
from schema.fga.language import parse_model
from tests.api.serving import PausingStorage, Served, key, serving
from tests.openfga.client import Fga, tuple_key
from tests.openfga.model import MODEL, TUPLES, filled
from tests.openfga.sdk import KINDS, Client, client, models, sdk

RIGHT = "secret"
FRESH = {"consistency": "HIGHER_CONSISTENCY"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Either client."""
    return str(request.param)


@pytest.fixture
async def asking(kind: str, served: Served, fga: Fga) -> AsyncIterator[Client]:
    """A client of the filled store."""
    async with client(kind, served.url, fga.store, fga.model) as made:
        yield made


def tuples(*told: str) -> list[Any]:
    return [models.ClientTuple(**tuple_key(one)) for one in told]


def question(told: str, **more: Any) -> Any:
    return models.ClientCheckRequest(**tuple_key(told), **more)


async def test_stores(kind: str, served: Served) -> None:
    async with client(kind, served.url) as made:
        store = await made.call("create_store", sdk.CreateStoreRequest(name="acme"))
        assert store.name == "acme"
        assert store.created_at.tzinfo is not None
        made.inner.set_store_id(store.id)
        listed = await made.call("list_stores", {"page_size": 1})
        assert [one.id for one in listed.stores] == [store.id]
        named = await made.call("list_stores", {"name": "other"})
        assert named.stores == []
        got = await made.call("get_store")
        assert (got.id, got.name, got.deleted_at) == (store.id, "acme", None)
        await made.call("delete_store")
        with pytest.raises(NotFoundException) as told:
            await made.call("get_store")
        assert told.value.parsed_exception.code == "store_id_not_found"


async def test_models(kind: str, served: Served) -> None:
    fga = await Fga.create(served.http)
    async with client(kind, served.url, fga.store) as made:
        body = sdk.WriteAuthorizationModelRequest(**encode_model(parse_model(MODEL)))
        written = await made.call("write_authorization_model", body)
        id_ = written.authorization_model_id
        made.inner.set_authorization_model_id(id_)
        model = (await made.call("read_authorization_model")).authorization_model
        assert (model.id, model.schema_version) == (id_, "1.1")
        assert [one.type for one in model.type_definitions] == [
            "user",
            "group",
            "folder",
            "document",
        ]
        document = model.type_definitions[3]
        assert document.relations["can_view"].difference.base.computed_userset.relation == "viewer"
        (first, *_) = document.metadata.relations["viewer"].directly_related_user_types
        assert first.type == "user"
        assert model.conditions["small"].parameters["x"].type_name == "TYPE_NAME_INT"
        latest = await made.call("read_latest_authorization_model")
        assert latest.authorization_model.id == id_
        await made.call("write_authorization_model", body)
        page = await made.call("read_authorization_models", {"page_size": 1})
        assert page.authorization_models[0].id != id_
        assert page.continuation_token


async def test_writes_in_one_transaction(asking: Client) -> None:
    new = "document:new#viewer@user:ann"
    body = models.ClientWriteRequest(writes=tuples(new), deletes=tuples(TUPLES[0]))
    written = await asking.call("write", body)
    assert [one.success for one in (*written.writes, *written.deletes)] == [True, True]
    assert (await asking.call("check", question(new), FRESH)).allowed
    assert not (await asking.call("check", question(TUPLES[0]), FRESH)).allowed
    with pytest.raises(ValidationException) as told:
        await asking.call("write", models.ClientWriteRequest(writes=tuples(new)))
    assert told.value.parsed_exception.code == "write_failed_due_to_invalid_input"
    assert "already exists" in told.value.parsed_exception.message
    await asking.call("write_tuples", tuples("document:more#viewer@user:ann"))
    await asking.call("delete_tuples", tuples("document:more#viewer@user:ann"))


async def test_options_of_writes(asking: Client) -> None:
    conflicts = models.ConflictOptions(
        on_duplicate_writes=models.ClientWriteRequestOnDuplicateWrites.IGNORE,
        on_missing_deletes=models.ClientWriteRequestOnMissingDeletes.IGNORE,
    )
    body = models.ClientWriteRequest(
        writes=tuples(TUPLES[0]), deletes=tuples("document:none#viewer@user:ann")
    )
    await asking.call("write", body, {"conflict": conflicts})


async def test_writes_in_chunks(asking: Client) -> None:
    many = [f"document:{number}#viewer@user:ann" for number in range(7)]
    chunks = models.WriteTransactionOpts(disabled=True, max_per_chunk=2, max_parallel_requests=3)
    body = models.ClientWriteRequest(writes=tuples(*many, TUPLES[0]))
    written = await asking.call("write", body, {"transaction": chunks})
    assert sorted(one.success for one in written.writes) == [False] * 2 + [True] * 6


async def test_reads(asking: Client) -> None:
    key_ = sdk.ReadRequestTupleKey(object="document:plan")
    page = await asking.call("read", key_, {"page_size": 2})
    assert len(page.tuples) == 2
    assert page.tuples[0].timestamp.tzinfo is not None
    rest = await asking.call("read", key_, {"continuation_token": page.continuation_token})
    assert len(rest.tuples) == 3
    assert rest.continuation_token == ""
    everything = await asking.call("read", sdk.ReadRequestTupleKey())
    assert len(everything.tuples) == len(TUPLES) + 1


async def test_changes(asking: Client) -> None:
    body = models.ClientReadChangesRequest("folder")
    page = await asking.call("read_changes", body, {"page_size": 5})
    (change,) = page.changes
    assert change.operation == "TUPLE_OPERATION_WRITE"
    assert change.tuple_key.user == "user:fay"
    again = {"continuation_token": page.continuation_token}
    assert (await asking.call("read_changes", body, again)).changes == []
    late = models.ClientReadChangesRequest("folder", "2020-01-01T00:00:00Z")
    assert len((await asking.call("read_changes", late)).changes) == 1


async def test_checks(asking: Client) -> None:
    assert (await asking.call("check", question(TUPLES[0]))).allowed
    asked = question("document:plan#viewer@user:cy", context={"x": 3})
    assert (await asking.call("check", asked)).allowed
    asked = question("document:plan#viewer@user:new", contextual_tuples=tuples(
        "group:eng#member@user:new"))  # fmt: skip
    assert (await asking.call("check", asked)).allowed
    with pytest.raises(ValidationException) as told:
        await asking.call("check", question("document:plan#viewer@user:cy"))
    assert told.value.parsed_exception.code == "validation_error"
    other = {"authorization_model_id": "01JD0000000000000000000000"}
    with pytest.raises(ValidationException) as told:
        await asking.call("check", question(TUPLES[0]), other)
    assert told.value.parsed_exception.code == "authorization_model_not_found"


async def test_batches_on_the_server(asking: Client) -> None:
    many = [f"document:{number}#viewer@user:ann" for number in range(60)]
    items = [
        models.ClientBatchCheckItem(**tuple_key(one), correlation_id=f"c{number}")
        for number, one in enumerate([*many, TUPLES[0], "document:plan#viewer@user:cy"])
    ]
    told = await asking.call("batch_check", models.ClientBatchCheckRequest(checks=items))
    results = {one.correlation_id: one for one in told.result}
    assert len(results) == 62
    assert results["c60"].allowed
    assert not results["c0"].allowed
    assert results["c61"].error.input_error == "validation_error"


async def test_batches_of_the_client(asking: Client) -> None:
    asked = [question(TUPLES[0]), question("document:none#viewer@user:ann")]
    told = await asking.call("client_batch_check", asked)
    assert [one.allowed for one in told] == [True, False]


async def test_relations(asking: Client) -> None:
    body = models.ClientListRelationsRequest(
        user="user:olga", object="document:plan", relations=["viewer", "blocked", "can_share"]
    )
    assert sorted(await asking.call("list_relations", body)) == ["can_share", "viewer"]


async def test_lists(asking: Client) -> None:
    body = models.ClientListObjectsRequest(user="user:ann", relation="viewer", type="document")
    whole = (await asking.call("list_objects", body)).objects
    assert whole == ["document:open", "document:plan"]
    assert await asking.streamed(body) == whole
    wanted = models_of_users("user")
    found = (await asking.call("list_users", wanted)).users
    assert [one.object.id for one in found] == ["ann", "cy", "fay", "gil", "olga"]
    (only,) = (await asking.call("list_users", models_of_users("group", "member"))).users
    assert (only.userset.type, only.userset.id, only.userset.relation) == ("group", "eng", "member")
    public = models_of_users("user", object_="open")
    assert (await asking.call("list_users", public)).users[0].wildcard.type == "user"


def models_of_users(kind: str, relation: str | None = None, object_: str = "plan") -> Any:
    return models_request(
        object=sdk.FgaObject(type="document", id=object_),
        relation="viewer",
        user_filters=[sdk.UserTypeFilter(type=kind, relation=relation)],
        context={"x": 3},
    )


models_request: Any = models.list_users_request.ClientListUsersRequest


async def test_expand(asking: Client) -> None:
    body = models.ClientExpandRequest(object="document:plan", relation="viewer")
    root = (await asking.call("expand", body)).tree.root
    assert root.name == "document:plan#viewer"
    users, computed, walked = root.union.nodes
    assert users.leaf.users.users == ["group:eng#member", "user:ann", "user:cy"]
    assert computed.leaf.computed.userset == "document:plan#owner"
    assert walked.leaf.tuple_to_userset.tupleset == "document:plan#parent"
    (folder,) = walked.leaf.tuple_to_userset.computed
    assert folder.userset == "folder:all#viewer"


async def test_assertions(asking: Client) -> None:
    one = models.ClientAssertion(**tuple_key(TUPLES[0]), expectation=True)
    await asking.call("write_assertions", [one])
    read = await asking.call("read_assertions")
    assert read.assertions[0].tuple_key.user == "user:ann"
    assert read.assertions[0].expectation


async def test_tokens(kind: str) -> None:
    scoped = key("narrow", "few", "::check")
    async with serving(api_keys=f"{key('all', RIGHT)},{scoped}") as served:
        served.http.headers["authorization"] = f"Bearer {RIGHT}"
        fga = await filled(served)
        for token, error in (("", UnauthorizedException), ("wrong", UnauthorizedException),
                             ("few", ForbiddenException)):  # fmt: skip
            async with client(kind, served.url, fga.store, token=token) as made:
                with pytest.raises(error) as told:
                    await made.call("write_tuples", tuples("document:a#viewer@user:ann"))
                code = told.value.parsed_exception.code
                assert code == {"": "bearer_token_missing", "few": "forbidden"}.get(
                    token, "unauthenticated"
                )
        async with client(kind, served.url, fga.store, token=RIGHT) as made:
            await made.call("write_tuples", tuples("document:a#viewer@user:ann"))


async def test_what_fails_for_a_moment_is_tried_again(kind: str) -> None:
    storage = PausingStorage()
    async with serving(storage) as served:
        fga = await filled(served)
        async with client(kind, served.url, fga.store, retries=3) as made:
            storage.fault = Unavailable("away")
            storage.waiting.clear()
            asked = asyncio.create_task(made.call("check", question(TUPLES[0]), FRESH))
            await storage.waiting.wait()
            await served.metric('status="500"')
            storage.fault = None
            assert (await asked).allowed
        async with client(kind, served.url, fga.store) as made:
            storage.fault = Unavailable("away")
            with pytest.raises(ServiceException) as told:
                await made.call("check", question(TUPLES[0]), FRESH)
            assert told.value.parsed_exception.code == "unavailable"
            storage.fault = None


async def test_what_is_too_much_is_told_as_such(kind: str) -> None:
    storage = PausingStorage()
    async with serving(storage, max_in_flight=1) as served:
        fga = await filled(served)
        async with client(kind, served.url, fga.store) as made:
            storage.open.clear()
            storage.waiting.clear()
            first = asyncio.create_task(fga.check(TUPLES[0], consistency="HIGHER_CONSISTENCY"))
            await storage.waiting.wait()
            with pytest.raises(RateLimitExceededError):
                await made.call("check", question(TUPLES[0]))
            storage.open.set()
            assert await first
