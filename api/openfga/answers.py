"""Answers as OpenFGA gives them: its headers, and the zookie of the snapshot beside them."""

from __future__ import annotations

from typing import Any

import msgspec

from api.asgi import Answer, Header

_JSON: Header = (b"content-type", b"application/json")
INCOMPLETE: Header = (b"stonetown-incomplete", b"true")
"""The header of a list that was cut at the configured most."""


encode = msgspec.json.Encoder().encode


def headers(zookie: str | None = None, model: str = "") -> tuple[Header, ...]:
    """The headers of an answer at a snapshot, by a model."""
    made = [_JSON]
    if model:
        made.append((b"openfga-authorization-model-id", model.encode()))
    if zookie:
        made.append((b"stonetown-zookie", zookie.encode()))
    return tuple(made)


def answer(body: Any, *, status: int = 200, zookie: str | None = None, model: str = "") -> Answer:
    """An answer with a body."""
    return Answer(status, encode(body), headers(zookie, model))


def no_content(zookie: str | None = None) -> Answer:
    """An answer without one."""
    return Answer(204, b"", headers(zookie)[1:])
