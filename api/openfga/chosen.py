"""Ids that a client chooses: what is copied from another server keeps its own."""

from __future__ import annotations

from api.calls import Call
from api.fga_ids import ID, ID_PATTERN, new_id
from api.openfga.errors import Refused

HEADER = "Stonetown-Id"
_HEADER = HEADER.lower().encode()


def chosen_id(call: Call) -> str:
    """The id that the header `Stonetown-Id` names for a new store or model, or else a new one. A
    field would not do: clients send models with the ids that they were read with, which OpenFGA
    ignores. Raises Refused for what is no id."""
    given = call.headers.get(_HEADER)
    if given is None:
        return new_id()
    text = given.decode("latin-1")
    if not ID.fullmatch(text):
        pattern = f'value does not match regex pattern "{ID_PATTERN}"'
        raise Refused("validation_error", f"invalid {HEADER}: {pattern}")
    return text
