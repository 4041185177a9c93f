"""The contract that every storage keeps: one suite, collected through its subclasses.

A storage's test module subclasses `StorageContract` under a name that begins with `Test` and
overrides the fixture `storage`. The suite makes stores with names of its own, so that a storage
may be shared by its tests and may hold other stores.
"""

from __future__ import annotations

import pytest

from engine.store.protocol import Storage
from tests.store.contract_documents import DocumentsContract
from tests.store.contract_ensuring import EnsuringContract
from tests.store.contract_history import (
    ChangesContract,
    GarbageContract,
    SnapshotsContract,
)
from tests.store.contract_names import NamedSchemasContract
from tests.store.contract_reads import FetchContract, ReadContract
from tests.store.contract_reverse import ReverseContract
from tests.store.contract_schemas import DeleteContract, IdempotencyContract, SchemasContract
from tests.store.contract_standing import StandingContract
from tests.store.contract_stores import ServiceContract, StoresContract
from tests.store.contract_titles import TitlesContract
from tests.store.contract_tuple_history import TupleHistoryContract
from tests.store.contract_writes import (
    ConcurrencyContract,
    ExpiryContract,
    PreconditionsContract,
    WritesContract,
)
from tests.store.tenant import Tenant


class StorageContract(
    StoresContract,
    TitlesContract,
    DocumentsContract,
    ServiceContract,
    WritesContract,
    EnsuringContract,
    PreconditionsContract,
    ExpiryContract,
    ConcurrencyContract,
    ReadContract,
    FetchContract,
    ReverseContract,
    SnapshotsContract,
    ChangesContract,
    TupleHistoryContract,
    StandingContract,
    GarbageContract,
    SchemasContract,
    NamedSchemasContract,
    DeleteContract,
    IdempotencyContract,
):
    """Every method, result and error of `engine.store.protocol.Storage`."""

    @pytest.fixture
    async def storage(self) -> Storage:
        """The storage under test: each subclass gives its own."""
        raise NotImplementedError

    @pytest.fixture
    async def tenant(self, storage: Storage) -> Tenant:
        """A new store in it."""
        return await Tenant.make(storage)
