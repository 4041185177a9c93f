"""From a `Schema` to canonical `.zed` text: the inverse of parsing.

Parentheses are printed only where an operator stands inside another, so that every text that comes
from here reads the same whatever precedence the reader expects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from schema.errors import Problem, SchemaTypeError
from schema.model import Caveat, ObjectType, Permission, Relation, Schema
from schema.problems import quote
from schema.rewrite import (
    Arrow,
    ArrowMode,
    Computed,
    Exclusion,
    Intersection,
    Nil,
    Rewrite,
    Self,
    This,
    Union,
)
from schema.source import Span
from schema.zed.syntax import FLAG_KEYWORDS, KEYWORDS

INDENT = "    "
_NAME = re.compile(r"[a-z][a-z0-9_]*(?:/[a-z][a-z0-9_]*)*")


def print_schema(schema: Schema) -> str:
    """The canonical text of `schema`: `parse_schema` of it gives an equal schema.

    Caveats come first, then object types; relations before permissions. Raises SchemaTypeError for
    a schema of another language that `.zed` cannot say.
    """
    flags = sorted(_flags(schema))
    _refuse_unprintable(schema, flags)
    blocks = ["\n".join(f"use {flag}" for flag in flags)] if flags else []
    blocks += [_caveat(caveat) for caveat in schema.caveats.values()]
    blocks += [_object_type(object_type) for object_type in schema.object_types.values()]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def print_rewrite(rewrite: Rewrite) -> str:
    """The expression that says `rewrite`. Raises SchemaTypeError for `This` in it."""
    match rewrite:
        case Computed(relation):
            return relation
        case Arrow():
            return _arrow(rewrite)
        case Union(children):
            return " + ".join(_operand(child) for child in children)
        case Intersection(children):
            return " & ".join(_operand(child) for child in children)
        case Exclusion(base, subtracted):
            left = print_rewrite(base) if isinstance(base, Exclusion) else _operand(base)
            return f"{left} - {_operand(subtracted)}"
        case Nil():
            return "nil"
        case Self():
            return "self"
        case This():
            raise _not_in_language("a relation is stored and computed at once", rewrite.span)
    assert_never(rewrite)


def _operand(rewrite: Rewrite) -> str:
    text = print_rewrite(rewrite)
    return f"({text})" if isinstance(rewrite, Union | Intersection | Exclusion) else text


def _arrow(arrow: Arrow) -> str:
    target = print_rewrite(arrow.target)
    if arrow.mode is ArrowMode.ANY:
        return f"{arrow.relation}->{target}"
    return f"{arrow.relation}.all({target})"


def _object_type(object_type: ObjectType) -> str:
    members = [_relation(relation) for relation in object_type.relations.values()]
    members += [_permission(permission) for permission in object_type.permissions.values()]
    head = f"{_doc(object_type.doc)}definition {object_type.name}"
    return f"{head} {{\n{''.join(members)}}}" if members else f"{head} {{}}"


def _relation(relation: Relation) -> str:
    if not isinstance(relation.rewrite, This):
        raise _not_in_language(f"{quote(relation.name)} is stored and computed", relation.span)
    types = " | ".join(str(subject_type) for subject_type in relation.subject_types)
    return f"{_doc(relation.doc, INDENT)}{INDENT}relation {relation.name}: {types}\n"


def _permission(permission: Permission) -> str:
    types = f": {' | '.join(permission.annotation)}" if permission.annotation else ""
    expression = print_rewrite(permission.rewrite)
    doc = _doc(permission.doc, INDENT)
    return f"{doc}{INDENT}permission {permission.name}{types} = {expression}\n"


def _caveat(caveat: Caveat) -> str:
    parameters = ", ".join(f"{name} {kind}" for name, kind in caveat.parameters.items())
    head = f"{_doc(caveat.doc)}caveat {caveat.name}({parameters})"
    return f"{head} {{\n{INDENT}{caveat.expression}\n}}"


def _doc(doc: str, indent: str = "") -> str:
    """The doc comment that says `doc`, ended by a line break, or "" for none."""
    if not doc:
        return ""
    lines = doc.replace("*/", "* /").split("\n")
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"


def _flags(schema: Schema) -> Iterator[str]:
    relations = [r for o in schema.object_types.values() for r in o.relations.values()]
    permissions = [p for o in schema.object_types.values() for p in o.permissions.values()]
    if any(s.expiration for relation in relations for s in relation.subject_types):
        yield "expiration"
    if any(_has_self(permission.rewrite) for permission in permissions):
        yield "self"
    if any(permission.annotation for permission in permissions):
        yield "typechecking"


def _has_self(rewrite: Rewrite) -> bool:
    match rewrite:
        case Self():
            return True
        case Union(children) | Intersection(children):
            return any(_has_self(child) for child in children)
        case Exclusion(base, subtracted):
            return _has_self(base) or _has_self(subtracted)
        case _:
            return False


def _refuse_unprintable(schema: Schema, flags: list[str]) -> None:
    reserved = KEYWORDS.union(*(FLAG_KEYWORDS[flag] for flag in flags))
    for name, span in _declared(schema):
        if name in reserved or not _NAME.fullmatch(name):
            raise _not_in_language(f"{quote(name)} cannot be a name", span)


def _declared(schema: Schema) -> Iterator[tuple[str, Span | None]]:
    for caveat in schema.caveats.values():
        yield caveat.name, caveat.span
    for object_type in schema.object_types.values():
        yield object_type.name, object_type.span
        for relation in object_type.relations.values():
            yield relation.name, relation.span
        for permission in object_type.permissions.values():
            yield permission.name, permission.span


def _not_in_language(what: str, span: Span | None) -> SchemaTypeError:
    message = f"{what}, which the `.zed` language has no words for"
    return SchemaTypeError((Problem("not_in_language", message, span),))
