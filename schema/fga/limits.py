"""What OpenFGA's server takes at most of a model.

Source: `openfga/v1/authzmodel.proto`, and the defaults of the server's configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from schema.fga.encode import encode_model
from schema.fga.model import AuthorizationModel

MAX_TYPES = 100
MAX_MODEL_BYTES = 262_144
MAX_CONDITIONS = 25
MAX_PARAMETERS = 25
"""Of one condition."""
MAX_EXPRESSION_BYTES = 512


def beyond_limits(model: AuthorizationModel) -> Iterator[tuple[str, str]]:
    """Where a model is beyond a limit, "" for the whole of it, and what the limit is. The size is
    that of its JSON, which is larger than what OpenFGA measures."""
    if len(model.types) > MAX_TYPES:
        yield "", f"more than {MAX_TYPES} types"
    if len(model.conditions) > MAX_CONDITIONS:
        yield "", f"more than {MAX_CONDITIONS} conditions"
    if len(json.dumps(encode_model(model), ensure_ascii=False).encode()) > MAX_MODEL_BYTES:
        yield "", f"more than {MAX_MODEL_BYTES} bytes"
    for condition in model.conditions.values():
        if len(condition.parameters) > MAX_PARAMETERS:
            yield condition.name, f"more than {MAX_PARAMETERS} parameters"
        if len(condition.expression.encode()) > MAX_EXPRESSION_BYTES:
            yield condition.name, f"an expression of more than {MAX_EXPRESSION_BYTES} bytes"
