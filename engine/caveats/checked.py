"""The type-checked syntax tree of a CEL expression, and what can be read from it.

cel-cpp hands its tree out only as bytes: a `cel.expr.CheckedExpr` protobuf message, whose format
is public (github.com/google/cel-spec, `proto/cel/expr/{checked,syntax}.proto`). The messages below
are the parts of it that matter here; a protobuf reader skips the rest. Macros stand in the tree
expanded, as comprehensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "int64": _FIELD.TYPE_INT64,
    "int32": _FIELD.TYPE_INT32,
    "bytes": _FIELD.TYPE_BYTES,
    "bool": _FIELD.TYPE_BOOL,
}
# message: {field: (number, type)}; `*` marks a repeated field.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "Checked": {"types": (3, "TypeEntry*"), "expr": (4, "Expr"), "source": (5, "Source")},
    "TypeEntry": {"key": (1, "int64"), "value": (2, "Type")},
    "Type": {"primitive": (3, "int32"), "list": (6, "ListType"), "message": (9, "string")},
    "ListType": {"element": (1, "Type")},
    "Source": {"positions": (4, "Position*")},
    "Position": {"key": (1, "int64"), "value": (2, "int32")},
    "Expr": {
        "id": (2, "int64"),
        "const": (3, "Constant"),
        "ident": (4, "Ident"),
        "select": (5, "Select"),
        "call": (6, "Call"),
        "list": (7, "List"),
        "struct": (8, "Struct"),
        "loop": (9, "Loop"),
    },
    "Constant": {"text": (6, "string"), "data": (7, "bytes")},
    "Ident": {"name": (1, "string")},
    "Select": {"operand": (1, "Expr"), "field": (2, "string")},
    "Call": {"target": (1, "Expr"), "function": (2, "string"), "args": (3, "Expr*")},
    "List": {"elements": (1, "Expr*")},
    "Struct": {"message": (1, "string"), "entries": (2, "Entry*")},
    "Entry": {"key": (3, "Expr"), "value": (4, "Expr")},
    "Loop": {
        "variable": (1, "string"),
        "range": (2, "Expr"),
        "accumulator": (3, "string"),
        "start": (4, "Expr"),
        "condition": (5, "Expr"),
        "step": (6, "Expr"),
        "result": (7, "Expr"),
        "variable2": (8, "string"),
    },
}


def _make_messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="cel.proto", package="cel", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, text) in fields.items():
            type_ = text.rstrip("*")
            repeated = text.endswith("*")
            message.field.add(
                name=field,
                number=number,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
                type=_SCALARS.get(type_, _FIELD.TYPE_MESSAGE),
                type_name=None if type_ in _SCALARS else f".cel.{type_}",
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"cel.{name}"))
        for name in _MESSAGES
    }


_MADE = _make_messages()


class CheckedTree:
    """A checked expression: its root, and by node id the position and type of every node.

    Positions are offsets into the expression in characters. Raises DecodeError (protobuf) when
    the tree is deeper than protobuf's own bound of 100 messages.
    """

    def __init__(self, serialized: bytes) -> None:
        checked = _MADE["Checked"].FromString(_MADE["Any"].FromString(serialized).value)
        self.root: Any = checked.expr
        self.positions: dict[int, int] = {p.key: p.value for p in checked.source.positions}
        self.types: dict[int, Any] = {entry.key: entry.value for entry in checked.types}


def kind_of(expr: Any) -> str:
    """Which of `const ident select call list struct loop` a node is."""
    for kind in ("ident", "call", "const", "select", "loop", "list", "struct"):
        if expr.HasField(kind):
            return kind
    return "const"


def references(expr: Any, bound: frozenset[str] = frozenset()) -> Iterator[tuple[str, int]]:
    """Every free identifier below `expr` with its node id: not fields, not loop variables."""
    kind = kind_of(expr)
    if kind == "ident":
        if expr.ident.name not in bound:
            yield expr.ident.name, expr.id
    elif kind == "loop":
        loop = expr.loop
        yield from references(loop.range, bound)
        yield from references(loop.start, bound)
        inner = bound | {loop.variable, loop.variable2, loop.accumulator}
        for child in (loop.condition, loop.step):
            yield from references(child, inner)
        yield from references(loop.result, bound | {loop.accumulator})
    else:
        for child in children(expr):
            yield from references(child, bound)


def children(expr: Any) -> list[Any]:
    """The nodes directly below a node that is not a loop."""
    kind = kind_of(expr)
    if kind == "call":
        target = [expr.call.target] if expr.call.HasField("target") else []
        return [*target, *expr.call.args]
    if kind == "select":
        return [expr.select.operand]
    if kind == "list":
        return list(expr.list.elements)
    if kind == "struct":
        entries = expr.struct.entries
        keys = [entry.key for entry in entries if entry.HasField("key")]
        return [*keys, *(entry.value for entry in entries)]
    return []
