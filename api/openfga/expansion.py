"""Expand: what a relation of an object is made of, one step of it."""

from __future__ import annotations

from typing import Any

from api.asgi import Answer
from api.calls import Call
from api.openfga import fields, keys
from api.openfga.answers import answer
from api.openfga.asking import About, contextual_of, terms_of
from api.openfga.errors import Refused
from api.openfga.fields import body_of
from engine.errors import EngineError
from engine.pages import Way
from engine.requests import ExpandNode, Overlay
from engine.tuples import Subject


async def expand(call: Call) -> Answer:
    """`POST /expand`."""
    body = body_of(await call.text(), "ExpandRequest")
    key = body.required("tuple_key", "ExpandRequestTupleKey")
    relation = key.text("relation", fields.RELATION)
    object_ = key.text("object", fields.KEY_OBJECT)
    if not object_:
        text = "Invalid input. Make sure you provide an object and a relation"
        raise Refused("invalid_expand_input", text)
    terms = terms_of(call, body)
    made = keys.object_of(object_, keys.shown(object_, relation, ""))
    tuples = contextual_of(call, body)
    overlay = Overlay(add=tuples, named=terms.model or None) if tuples else terms.overlay
    way = Way(consistency=terms.consistency, deadline=call.deadline, overlay=overlay)
    try:
        found = await call.engine.expand_once(call.store, made, relation, way)
    except EngineError as error:
        about = About(made.type, relation, Subject("", ""), tuples)
        raise terms.refusal(error, about) from None
    tree = {"root": _node(found.tree, f"{object_}#{relation}")}
    return answer({"tree": tree}, zookie=found.zookie, model=found.schema_name)


def _node(node: ExpandNode, name: str) -> dict[str, Any]:
    """A node; every node bears the name of what was asked for."""
    parts = [_node(child, name) for child in node.children] if node.kind in _INNER else []
    match node.kind:
        case "union" | "intersection":
            return {"name": name, node.kind: {"nodes": parts}}
        case "exclusion":
            base, subtracted = parts
            return {"name": name, "difference": {"base": base, "subtract": subtracted}}
    return {"name": name, "leaf": _leaf(node)}


_INNER = ("union", "intersection", "exclusion")


def _leaf(node: ExpandNode) -> dict[str, Any]:
    match node.kind:
        case "computed":
            return {"computed": {"userset": _userset(node)}}
        case "arrow":
            walked = sorted({_userset(child) for child in node.children})
            computed = [{"userset": one} for one in walked]
            return {"tupleToUserset": {"tupleset": _userset(node), "computed": computed}}
    users = sorted({str(item.subject) for item in node.subjects})
    return {"users": {"users": users}}


def _userset(node: ExpandNode) -> str:
    return f"{node.object}#{node.relation}"
