"""The bodies of OpenFGA's API as JSON Schemas: what is asked and what is answered, by name."""

from __future__ import annotations

from typing import Any, TypeAlias

from api.fga_ids import ID_PATTERN
from api.openfga.errors import ABORTED, CODES

Schema: TypeAlias = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
ID: Schema = {"type": "string", "pattern": ID_PATTERN}
TYPE: Schema = {"type": "string", "pattern": r"^[^:#@\s]{1,254}$"}
RELATION: Schema = {"type": "string", "pattern": r"^[^:#@\s]{1,50}$"}
OBJECT: Schema = {"type": "string", "pattern": r"^[^\s]{2,256}$", "examples": ["document:plan"]}
USER: Schema = {"type": "string", "pattern": r"^[^\s]{2,512}$", "examples": ["user:ann"]}
FREE: Schema = {"type": ["object", "null"]}
TOKEN: Schema = {"type": "string", "maxLength": 5120}
PAGE_SIZE: Schema = {"type": "integer", "minimum": 1, "maximum": 100}
CONSISTENCY: Schema = {"enum": ["UNSPECIFIED", "MINIMIZE_LATENCY", "HIGHER_CONSISTENCY"]}


def ref(name: str) -> Schema:
    """The schema of a name."""
    return {"$ref": f"#/components/schemas/{name}"}


def each(schema: Schema, **more: Any) -> Schema:
    """An array."""
    return {"type": "array", "items": schema, **more}


def either(schema: Schema) -> Schema:
    """It, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def message(required: str = "", /, **properties: Schema) -> Schema:
    """An object; `required` are names with spaces between."""
    made: Schema = {"type": "object", "properties": properties}
    return {**made, "required": required.split()} if required else made


def by_name(schema: Schema) -> Schema:
    """An object whose members are all alike."""
    return {"type": "object", "additionalProperties": schema}


_ASKED = {
    "authorization_model_id": {**ID, "description": "The latest if absent"},
    "consistency": CONSISTENCY,
    "zookie": {**TEXT, "description": "The `Stonetown-Zookie` of an answer to be as fresh as"},
}
_CONTEXT = {"context": FREE, "contextual_tuples": ref("ContextualTupleKeys")}
_OBJECTS = message(
    "type relation user", type=TYPE, relation=RELATION, user=USER, **_CONTEXT, **_ASKED
)
_KEY = {"user": USER, "relation": RELATION, "object": OBJECT}
_STORE = {"id": ID, "name": TEXT, "created_at": TIME, "updated_at": TIME}
_PAGE = {"continuation_token": TOKEN}
_MODEL = {
    "schema_version": {"enum": ["1.1", "1.2"]},
    "type_definitions": each(ref("TypeDefinition"), minItems=1),
    "conditions": by_name(ref("Condition")),
}
_ORIGIN = {"module": TEXT, "source_info": either(message(file=TEXT))}

SHAPES: dict[str, Schema] = {
    "Error": message("code message", code={"enum": [*CODES, ABORTED]}, message=TEXT),
    "Empty": message(),
    "CreateStoreRequest": message("name", name={"type": "string", "minLength": 3, "maxLength": 64}),
    "Store": message("id name created_at updated_at", **_STORE),
    "GetStoreResponse": message(
        "id name created_at updated_at deleted_at", **_STORE, deleted_at=either(TIME)
    ),
    "ListStoresResponse": message(
        "stores continuation_token", stores=each(ref("GetStoreResponse")), **_PAGE
    ),
    "WriteAuthorizationModelRequest": message("schema_version type_definitions", **_MODEL),
    "WriteAuthorizationModelResponse": message("authorization_model_id", authorization_model_id=ID),
    "AuthorizationModel": message(
        "id schema_version type_definitions conditions", id=ID, **_MODEL
    ),
    "ReadAuthorizationModelResponse": message(
        "authorization_model", authorization_model=ref("AuthorizationModel")
    ),
    "ReadAuthorizationModelsResponse": message(
        "authorization_models continuation_token",
        authorization_models=each(ref("AuthorizationModel")),
        **_PAGE,
    ),
    "TypeDefinition": message(
        "type",
        type=TYPE,
        relations=either(by_name(ref("Userset"))),
        metadata=either(message(relations=by_name(ref("RelationMetadata")), **_ORIGIN)),
    ),
    "RelationMetadata": message(
        directly_related_user_types=each(ref("RelationReference")), **_ORIGIN
    ),
    "RelationReference": message(
        "type", type=TYPE, relation=TEXT, wildcard=message(), condition=TEXT
    ),
    "Userset": message(
        this=message(),
        computedUserset=ref("ObjectRelation"),
        tupleToUserset=message(
            tupleset=ref("ObjectRelation"), computedUserset=ref("ObjectRelation")
        ),
        union=message(child=each(ref("Userset"))),
        intersection=message(child=each(ref("Userset"))),
        difference=message(base=ref("Userset"), subtract=ref("Userset")),
    ),
    "ObjectRelation": message(object=TEXT, relation=TEXT),
    "Condition": message(
        "name expression",
        name=RELATION,
        expression={"type": "string", "maxLength": 512},
        parameters=by_name(ref("ConditionParamTypeRef")),
        metadata=either(message(**_ORIGIN)),
    ),
    "ConditionParamTypeRef": message(
        "type_name", type_name=TEXT, generic_types=each(ref("ConditionParamTypeRef"))
    ),
    "RelationshipCondition": message("name", name=TEXT, context=FREE),
    "TupleKey": message(
        "user relation object", **_KEY, condition=either(ref("RelationshipCondition"))
    ),
    "TupleKeyWithoutCondition": message("user relation object", **_KEY),
    "ContextualTupleKeys": message("tuple_keys", tuple_keys=each(ref("TupleKey"))),
    "WriteRequest": message(
        authorization_model_id=ID,
        writes=message(
            "tuple_keys",
            tuple_keys=each(ref("TupleKey"), minItems=1),
            on_duplicate={"enum": ["error", "ignore", "update"]},
        ),
        deletes=message(
            "tuple_keys",
            tuple_keys=each(ref("TupleKeyWithoutCondition"), minItems=1),
            on_missing={"enum": ["error", "ignore"]},
        ),
    ),
    "ReadRequest": message(
        tuple_key=message(user=TEXT, relation=TEXT, object=TEXT),
        page_size=PAGE_SIZE,
        consistency=CONSISTENCY,
        zookie=TEXT,
        **_PAGE,
    ),
    "Tuple": message("key timestamp", key=ref("TupleKey"), timestamp=TIME),
    "ReadResponse": message("tuples continuation_token", tuples=each(ref("Tuple")), **_PAGE),
    "TupleChange": message(
        "tuple_key operation timestamp",
        tuple_key=ref("TupleKey"),
        operation={"enum": ["TUPLE_OPERATION_WRITE", "TUPLE_OPERATION_DELETE"]},
        timestamp=TIME,
    ),
    "ReadChangesResponse": message(
        "changes continuation_token", changes=each(ref("TupleChange")), **_PAGE
    ),
    "CheckRequest": message(
        "tuple_key", tuple_key=ref("TupleKeyWithoutCondition"), **_CONTEXT, **_ASKED
    ),
    "CheckResponse": message("allowed resolution", allowed=FLAG, resolution=TEXT),
    "BatchCheckRequest": message(
        "checks", checks=each(ref("BatchCheckItem"), minItems=1), **_ASKED
    ),
    "BatchCheckItem": message(
        "tuple_key correlation_id",
        tuple_key=ref("TupleKeyWithoutCondition"),
        correlation_id={"type": "string", "pattern": r"^[\w-]{1,36}$"},
        **_CONTEXT,
    ),
    "BatchCheckResponse": message("result", result=by_name(ref("BatchCheckSingleResult"))),
    "BatchCheckSingleResult": message(
        allowed=FLAG, error=message("message", input_error=TEXT, internal_error=TEXT, message=TEXT)
    ),
    "ExpandRequest": message(
        "tuple_key",
        tuple_key=message("relation object", relation=RELATION, object=OBJECT),
        contextual_tuples=ref("ContextualTupleKeys"),
        **_ASKED,
    ),
    "ExpandResponse": message("tree", tree=message("root", root=ref("Node"))),
    "Node": message(
        "name",
        name=TEXT,
        leaf=ref("Leaf"),
        union=message("nodes", nodes=each(ref("Node"))),
        intersection=message("nodes", nodes=each(ref("Node"))),
        difference=message("base subtract", base=ref("Node"), subtract=ref("Node")),
    ),
    "Leaf": message(
        users=message("users", users=each(TEXT)),
        computed=message("userset", userset=TEXT),
        tupleToUserset=message(
            "tupleset computed", tupleset=TEXT, computed=each(message("userset", userset=TEXT))
        ),
    ),
    "ListObjectsRequest": _OBJECTS,
    "ListObjectsResponse": message("objects", objects=each(TEXT)),
    "StreamedListObjectsResponse": message(
        result=message("object", object=TEXT),
        error=message("code message details", code={"type": "integer"}, message=TEXT,
                      details=each(FREE)),
    ),
    "ListUsersRequest": message(
        "object relation user_filters",
        object=message("type id", type=TYPE, id=TEXT),
        relation=RELATION,
        user_filters=each(message("type", type=TYPE, relation=TEXT), minItems=1, maxItems=1),
        context=FREE,
        contextual_tuples=each(ref("TupleKey")),
        **_ASKED,
    ),
    "ListUsersResponse": message("users", users=each(ref("User"))),
    "User": message(
        object=message("type id", type=TYPE, id=TEXT),
        userset=message("type id relation", type=TYPE, id=TEXT, relation=TEXT),
        wildcard=message("type", type=TYPE),
    ),
    "WriteAssertionsRequest": message(
        "assertions", assertions=each(ref("Assertion"), maxItems=100)
    ),
    "Assertion": message(
        "tuple_key expectation",
        tuple_key=ref("TupleKeyWithoutCondition"),
        expectation=FLAG,
        contextual_tuples=each(ref("TupleKey"), maxItems=20),
        context=FREE,
    ),
    "ReadAssertionsResponse": message(
        "authorization_model_id assertions",
        authorization_model_id=ID,
        assertions=each(ref("Assertion")),
    ),
}  # fmt: skip
