"""An `AuthorizationModel` as JSON: short, as OpenFGA's tools write it, or with every field, as its
server does."""

from __future__ import annotations

from typing import Any, assert_never

from schema.fga.decode import TYPE_PREFIX, UNSPECIFIED
from schema.fga.model import (
    AuthorizationModel,
    Condition,
    Origin,
    RelationDefinition,
    Restriction,
    TypeDefinition,
    TypeRef,
)
from schema.rewrite import Arrow, Computed, Exclusion, Intersection, Nil, Rewrite, Self, This, Union

JsonObject = dict[str, Any]


def encode_model(model: AuthorizationModel, *, defaults: bool = False) -> JsonObject:
    """The model as JSON; with `defaults`, fields that say nothing are written, too."""
    return _Encoder(defaults=defaults).model(model)


class _Encoder:
    def __init__(self, *, defaults: bool) -> None:
        self._defaults = defaults

    def model(self, model: AuthorizationModel) -> JsonObject:
        made: JsonObject = {"id": model.id} if model.id or self._defaults else {}
        made["schema_version"] = model.schema_version
        if not model.schema_version and not self._defaults:
            del made["schema_version"]
        if model.types or self._defaults:
            made["type_definitions"] = [self._type(kind) for kind in model.types]
        conditions = {key: self._condition(item) for key, item in model.conditions.items()}
        return made | ({"conditions": conditions} if conditions or self._defaults else {})

    def _type(self, kind: TypeDefinition) -> JsonObject:
        metadata: JsonObject = {}
        if kind.relations or self._defaults:
            metadata["relations"] = {
                name: self._metadata(relation) for name, relation in kind.relations.items()
            }
        metadata |= self._origin(kind.origin)
        relations = {name: self._rewrite(item.rewrite) for name, item in kind.relations.items()}
        return {"type": kind.name, "relations": relations, "metadata": metadata or None}

    def _metadata(self, relation: RelationDefinition) -> JsonObject:
        allowed = [self._restriction(item) for item in relation.restrictions]
        return {"directly_related_user_types": allowed, **self._origin(relation.origin)}

    def _origin(self, origin: Origin) -> JsonObject:
        made: JsonObject = {"module": origin.module} if origin.module or self._defaults else {}
        if origin.file:
            made["source_info"] = {"file": origin.file}
        elif self._defaults:
            made["source_info"] = None
        return made

    def _restriction(self, item: Restriction) -> JsonObject:
        made: JsonObject = {"type": item.type}
        if item.wildcard:
            made["wildcard"] = {}
        elif item.relation:
            made["relation"] = item.relation
        if item.condition or self._defaults:
            made["condition"] = item.condition
        return made

    def _rewrite(self, rewrite: Rewrite) -> JsonObject:
        match rewrite:
            case This():
                return {"this": {}}
            case Computed(relation):
                return {"computedUserset": self._reference(relation)}
            case Arrow():
                return {
                    "tupleToUserset": {
                        "tupleset": self._reference(rewrite.relation),
                        "computedUserset": self._reference(rewrite.target.relation),
                    }
                }
            case Union(children):
                return {"union": {"child": [self._rewrite(child) for child in children]}}
            case Intersection(children):
                return {"intersection": {"child": [self._rewrite(child) for child in children]}}
            case Exclusion(base, subtracted):
                sides = {"base": self._rewrite(base), "subtract": self._rewrite(subtracted)}
                return {"difference": sides}
            case Nil() | Self():
                return {}
        assert_never(rewrite)

    def _reference(self, relation: str) -> JsonObject:
        return {"object": "", "relation": relation} if self._defaults else {"relation": relation}

    def _condition(self, condition: Condition) -> JsonObject:
        made: JsonObject = {
            "name": condition.name,
            "expression": condition.expression,
            "parameters": {name: self._type_ref(t) for name, t in condition.parameters.items()},
        }
        metadata = self._origin(condition.origin)
        if metadata.get("module") or metadata.get("source_info"):
            made["metadata"] = metadata
        elif self._defaults:
            made["metadata"] = None
        return made

    def _type_ref(self, type_ref: TypeRef) -> JsonObject:
        made: JsonObject = {"type_name": TYPE_PREFIX + (type_ref.name.upper() or UNSPECIFIED)}
        if type_ref.generics or self._defaults:
            made["generic_types"] = [self._type_ref(item) for item in type_ref.generics]
        return made
