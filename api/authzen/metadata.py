"""The metadata document: where a store's decision point is, and what it can do.

URLs are made of the configured base alone: a `Host` header says what a client likes.
"""

from __future__ import annotations

from api.asgi import Answer
from api.authzen.asking import encode
from api.authzen.paths import identity, place
from api.calls import Call
from api.errors import RouteNotFound

_ENDPOINTS = {
    "access_evaluation_endpoint": "/access/v1/evaluation",
    "access_evaluations_endpoint": "/access/v1/evaluations",
    "search_subject_endpoint": "/access/v1/search/subject",
    "search_resource_endpoint": "/access/v1/search/resource",
    "search_action_endpoint": "/access/v1/search/action",
}
_CAPABILITIES = [
    f"urn:ietf:params:authzen:capability:{name}"
    for name in (
        "search-pagination",
        "properties-to-context",
        "evaluations-semantic",
        "transitive-search",
        "abac-context",
    )
]


async def metadata(call: Call) -> Answer:
    """`GET …/.well-known/authzen-configuration`, wherever it was asked for."""
    await call.no_body()
    base = call.settings.authzen_base_url
    if base is None:
        raise RouteNotFound("this server has no STONETOWN_AUTHZEN_BASE_URL, so no metadata")
    told = {"policy_decision_point": base + identity(call.scope["path"])}
    told |= {name: base + place(call.store) + path for name, path in _ENDPOINTS.items()}
    return Answer(200, encode({**told, "capabilities": _CAPABILITIES}))
