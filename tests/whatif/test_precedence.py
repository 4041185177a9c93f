"""Of one identity the contextual tuple counts, else the overlay's, else the stored one."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.api.serving import Served, serving

PLAIN = "document:a#viewer@user:bob"
FORMS = {"allowed": PLAIN, "conditional": f"{PLAIN}[on_day]", "denied": None}
ASKED = {
    "/check": {"object": "document:a", "relation": "view", "subject": "user:bob"},
    "/lookup/objects": {"type": "document", "relation": "view", "subject": "user:bob"},
    "/lookup/objects/count": {"type": "document", "relation": "view", "subject": "user:bob"},
    "/lookup/subjects": {"object": "document:a", "relation": "view", "subject_type": "user"},
    "/lookup/subjects/count": {"object": "document:a", "relation": "view", "subject_type": "user"},
    "/lookup/permissions": {"object": "document:a", "subject": "user:bob"},
}


def decision(call: str, answer: Any) -> str:
    """What an answer says of bob and the document."""
    if call == "/check":
        return str(answer["decision"])
    if call.endswith("/count"):
        return next((name for name in FORMS if answer.get(name)), "denied")
    found = next(value for name, value in answer.items() if isinstance(value, list))
    return str(found[0]["decision"]) if found else "denied"


@pytest.mark.parametrize("stored", FORMS)
async def test_the_nearest_one_counts(stored: str) -> None:
    async with serving() as served:
        if FORMS[stored] is not None:
            await served.write(str(FORMS[stored]))
        for laid, near in product((None, *FORMS), (None, "allowed", "conditional")):
            expected = near or laid or stored
            for call, body in ASKED.items():
                assert await says(served, call, body, laid, near) == expected, (call, laid, near)


async def says(
    served: Served, call: str, body: dict[str, str], laid: str | None, near: str | None
) -> str:
    """The decision under an overlay and with a contextual tuple, if there are any."""
    asked: dict[str, Any] = dict(body)
    if laid is not None:
        item = FORMS[laid]
        asked["overlay"] = {"remove": [PLAIN]} if item is None else {"add": [item]}
    if near is not None:
        asked["contextual_tuples"] = [FORMS[near]]
    response = await served.post(call, asked)
    assert response.status_code == 200, response.text
    one = decision(call, response.json())
    if call == "/check":
        overlay = asked.pop("overlay", None)
        batch = await served.post("/check/batch", {"checks": [asked], "overlay": overlay})
        assert batch.json()["results"][0]["decision"] == one
    return one
