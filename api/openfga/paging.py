"""Query strings and pages: `page_size` and `continuation_token`, in a query or in a body."""

from __future__ import annotations

from urllib.parse import parse_qsl

from api.calls import Call
from api.openfga import fields
from api.openfga.errors import Refused
from api.openfga.fields import Message, invalid

_DEFAULT, _MOST = 50, 100
_MAX_QUERY_FIELDS = 50


def query_of(call: Call, name: str) -> Message:
    """The query as a message; what is unknown in it is ignored. Raises Refused."""
    text: bytes = call.scope["query_string"]
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_QUERY_FIELDS,
        )
    except ValueError:
        raise Refused("validation_error", "the query is not one") from None
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Refused("validation_error", "a query parameter stands twice")
    return Message({name: value for name, value in found.items() if value}, name)


def page_of(body: Message, most: int = _MOST) -> tuple[int, str | None]:
    """The size of a page, and the cursor that it begins at."""
    size = body.number("page_size")
    if size is not None and not 1 <= size <= most:
        raise invalid(body.name, "page_size", f"value must be inside range [1, {most}]")
    token = body.text("continuation_token", fields.TOKEN)
    return size or min(_DEFAULT, most), token or None
