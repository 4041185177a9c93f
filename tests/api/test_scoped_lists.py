"""Lists of stores for keys that are scoped to some of them: nothing tells of the others."""

from __future__ import annotations

from base64 import urlsafe_b64decode

import pytest

from api.fga_ids import store_id, store_name
from tests.api.serving import bearer, key, serving

_IDS = [f"01JD000000000000000000000{number}" for number in range(6)]
_OURS = _IDS[1::2]


@pytest.mark.parametrize(
    ("path", "size", "token", "following"),
    [
        ("/stores", "page_size", "continuation_token", "continuation_token"),
        ("/v1/stores", "limit", "cursor", "cursor"),
    ],
)
async def test_pages_are_full_and_their_cursors_name_no_other_store(
    path: str, size: str, token: str, following: str
) -> None:
    scope = "+".join(map(store_name, _OURS))
    async with serving(api_keys=key("some", "secret", f":{scope}:admin")) as served:
        for one in _IDS:
            await served.engine.create_store(store_name(one), f"store {one}")
        await served.engine.delete_store(store_name(_OURS[0]))
        seen: list[str] = []
        query = {size: "1"}
        for _ in _OURS[1:]:
            response = await served.http.get(path, params=query, headers=bearer("secret"))
            page = response.json()
            (listed,) = page["stores"]
            seen.append(store_id(listed["name"]) or listed["id"])
            query[token] = page[following]
            readable = urlsafe_b64decode((page[following] or "") + "===").decode("latin-1")
            assert not [one for one in _IDS if one not in _OURS and store_name(one) in readable]
    assert seen == _OURS[1:]
    assert not query[token]
