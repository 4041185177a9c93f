"""Storages and the contract that they share."""

import pytest

pytest.register_assert_rewrite(
    *(
        f"tests.store.contract_{part}"
        for part in ("history", "reads", "schemas", "stores", "writes")
    )
)
