"""OpenFGA's own Python SDK, unpatched, asynchronous or not, behind one asynchronous face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import openfga_sdk
import openfga_sdk.client
import openfga_sdk.client.models
import openfga_sdk.credentials
import openfga_sdk.sync
from openfga_sdk.configuration import RetryParams

# Half of it has no types.
sdk: Any = openfga_sdk
models: Any = openfga_sdk.client.models
_credentials: Any = openfga_sdk.credentials
_asynchronous: Any = openfga_sdk.client
_synchronous: Any = openfga_sdk.sync
_RetryParams: Any = RetryParams
KINDS = ("asynchronous", "synchronous")


class Client:
    """A client of the SDK. All methods are awaited; those of the synchronous one run in threads."""

    def __init__(self, inner: Any, kind: str) -> None:
        self.inner = inner
        self.kind = kind

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the SDK's client."""
        function = getattr(self.inner, method)
        if self.kind == "synchronous":
            return await asyncio.to_thread(function, *arguments)
        return await function(*arguments)

    async def streamed(self, *arguments: Any) -> list[str]:
        """The objects of `streamed_list_objects`."""
        function = self.inner.streamed_list_objects
        if self.kind == "synchronous":
            return await asyncio.to_thread(lambda: [item.object for item in function(*arguments)])
        return [item.object async for item in function(*arguments)]


@contextlib.asynccontextmanager
async def client(
    kind: str, url: str, store: str = "", model: str = "", token: str = "", retries: int = 0
) -> AsyncIterator[Client]:
    """A client of a kind. It tries again `retries` times, soon."""
    credentials = None
    if token:
        credentials = _credentials.Credentials(
            method="api_token",
            configuration=_credentials.CredentialConfiguration(api_token=token),
        )
    configuration = _asynchronous.ClientConfiguration(
        api_url=url,
        store_id=store or None,
        authorization_model_id=model or None,
        credentials=credentials,
        retry_params=_RetryParams(max_retry=retries, min_wait_in_ms=10),
    )
    if kind == "synchronous":
        inner = _synchronous.OpenFgaClient(configuration)
        try:
            yield Client(inner, kind)
        finally:
            await asyncio.to_thread(inner.close)
    else:
        async with _asynchronous.OpenFgaClient(configuration) as opened:
            yield Client(opened, kind)
