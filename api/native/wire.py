"""The bodies of the native API, for its OpenAPI document. Requests are read by `decode`, which is
stricter than a schema can say; a test holds the two together."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ZOOKIE = "AQ88ml57IdSGDzyaXnsh1IYAAAAAAAAAB6vN7wEjRWeJcjUcUQ"


def example(*values: dict[str, Any]) -> ConfigDict:
    """Configuration of a model that takes no other members and shows `values` as examples."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": list(values)})


class CaveatUse(BaseModel):
    """A caveat on a tuple, with the part of its context that is stored."""

    model_config = example({"name": "on_weekdays", "context": {"zone": "EAT"}})
    name: str
    context: dict[str, Any] = {}


class Tuple(BaseModel):
    """A relation tuple as an object. Requests may give its string form instead:
    `document:readme#viewer@group:eng#member[on_weekdays:{"zone":"EAT"}]`."""

    model_config = example(
        {"object": "document:readme", "relation": "viewer", "subject": "group:eng#member"}
    )
    object: str = Field(description="`type:id`")
    relation: str
    subject: str = Field(description="`type:id`, `type:id#relation` or `type:*`")
    caveat: CaveatUse | None = None
    expires_at: str | None = Field(None, description="RFC 3339")


TupleInput = str | Tuple


class AtLeastAsFresh(BaseModel):
    """Any snapshot that is not older than the zookie's."""

    model_config = example({"at_least_as_fresh": ZOOKIE})
    at_least_as_fresh: str


class AtExactSnapshot(BaseModel):
    """The zookie's own snapshot."""

    model_config = example({"at_exact_snapshot": ZOOKIE})
    at_exact_snapshot: str


class AtTime(BaseModel):
    """The newest snapshot that was committed at or before a moment."""

    model_config = example({"at_time": "2030-01-31T12:00:00Z"})
    at_time: str


Consistency = (
    Literal["minimize_latency", "fully_consistent"] | AtLeastAsFresh | AtExactSnapshot | AtTime
)


class Overlay(BaseModel):
    """What counts as written for this request alone. Removed tuples are told by object, relation
    and subject; `schema` takes the place of the schema in force."""

    model_config = example(
        {
            "add": ["group:eng#member@user:kim"],
            "remove": ["document:readme#viewer@user:ann"],
        }
    )
    add: list[TupleInput] = []
    remove: list[TupleInput] = []
    schema_: str | None = Field(None, alias="schema")


class Filter(BaseModel):
    """Tuples whose parts equal those given; absent means any, `"subject_relation": ""` none."""

    model_config = example({"object_type": "document", "object_id": "readme"})
    object_type: str | None = None
    object_id: str | None = None
    relation: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    subject_relation: str | None = None


class Precondition(BaseModel):
    """Some tuple must match the filter, or none, for the write to be done."""

    model_config = example(
        {"op": "must_match", "filter": {"object_type": "document", "object_id": "readme"}}
    )
    op: Literal["must_match", "must_not_match"]
    filter: Filter


class Update(BaseModel):
    """One change of a write. A delete looks only at object, relation and subject."""

    model_config = example({"op": "touch", "tuple": "document:readme#viewer@user:ann"})
    op: Literal["touch", "create", "delete"]
    tuple: TupleInput


class WriteRequest(BaseModel):
    """Updates, all or nothing."""

    model_config = example(
        {
            "updates": [{"op": "touch", "tuple": "document:readme#viewer@user:ann"}],
            "metadata": {"ticket": "ENG-7"},
        }
    )
    updates: list[Update]
    preconditions: list[Precondition] = []
    metadata: dict[str, Any] = {}


class DeleteRequest(BaseModel):
    """Delete what a filter matches, up to a limit."""

    model_config = example({"filter": {"object_type": "document", "object_id": "old"}})
    filter: Filter
    preconditions: list[Precondition] = []
    limit: int | None = None
    metadata: dict[str, Any] = {}


class ReadRequest(BaseModel):
    """List stored tuples; rewrites are not applied. The schema of an overlay is what its added
    tuples are checked against, and nothing else."""

    model_config = example({"filter": {"object_type": "document"}, "limit": 100})
    filter: Filter
    limit: int | None = None
    cursor: str | None = None
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class ExportRequest(BaseModel):
    """Get every tuple that a filter matches; without one, all. `after` is a tuple, string or
    object, to go on behind."""

    model_config = example(
        {"filter": {"object_type": "document"}, "overlay": {"remove": ["group:eng#member@user:bo"]}}
    )
    filter: Filter | None = None
    after: TupleInput | None = None
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class CheckItem(BaseModel):
    """Is the subject a member? `relation` names a relation or a permission."""

    model_config = example({"object": "document:readme", "relation": "view", "subject": "user:ann"})
    object: str
    relation: str
    subject: str
    context: dict[str, Any] = {}
    contextual_tuples: list[TupleInput] = []
    explain: bool = Field(False, description="Tell why, too; needs the right `read`")


class CheckRequest(CheckItem):
    """One check, and how fresh its answer must be."""

    model_config = example(
        {"object": "document:readme", "relation": "view", "subject": "user:ann"},
        {
            "object": "document:readme",
            "relation": "view",
            "subject": "user:ann",
            "context": {"day": "friday"},
            "consistency": {"at_least_as_fresh": ZOOKIE},
        },
    )
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class BatchRequest(BaseModel):
    """Many checks at one snapshot."""

    model_config = example(
        {"checks": [{"object": "document:readme", "relation": "view", "subject": "user:ann"}]}
    )
    checks: list[CheckItem]
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class ExpandRequest(BaseModel):
    """Ask for the userset tree of a relation or permission; with `recursive` for those of all
    usersets beneath it, too, in pages of `limit` trees."""

    model_config = example(
        {"object": "document:readme", "relation": "view"},
        {"object": "document:readme", "relation": "view", "recursive": True, "limit": 100},
    )
    object: str
    relation: str
    recursive: bool = False
    limit: int | None = None
    cursor: str | None = None
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class CountObjectsRequest(BaseModel):
    """Count the objects that a subject is a member of by a relation or permission: of one `type`,
    or of several `types` that all have it. `candidates` are ids; given, nothing else is looked
    at."""

    model_config = example({"type": "document", "relation": "view", "subject": "user:ann"})
    type: str | None = None
    types: list[str] | None = None
    relation: str
    subject: str
    context: dict[str, Any] = {}
    contextual_tuples: list[TupleInput] = []
    candidates: list[str] | None = None
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class LookupObjectsRequest(CountObjectsRequest):
    """List them, sorted by type and id."""

    limit: int | None = None
    cursor: str | None = None


class CountSubjectsRequest(BaseModel):
    """Count the subjects of one form that are members: of a type, and of a subject relation or of
    none. `candidates` are ids; given, nothing else is looked at."""

    model_config = example(
        {"object": "document:readme", "relation": "view", "subject_type": "user"}
    )
    object: str
    relation: str
    subject_type: str
    subject_relation: str = ""
    context: dict[str, Any] = {}
    contextual_tuples: list[TupleInput] = []
    candidates: list[str] | None = None
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class LookupSubjectsRequest(CountSubjectsRequest):
    """List them, sorted by id, the wildcard first."""

    limit: int | None = None
    cursor: str | None = None


class LookupPermissionsRequest(BaseModel):
    """Ask for everything that a subject may do on an object."""

    model_config = example({"object": "document:readme", "subject": "user:ann"})
    object: str
    subject: str
    context: dict[str, Any] = {}
    contextual_tuples: list[TupleInput] = []
    include_relations: bool = False
    consistency: Consistency = "minimize_latency"
    overlay: Overlay | None = None


class SchemaRequest(BaseModel):
    """Replace the schema."""

    model_config = example(
        {
            "schema": "definition user {}\n\ndefinition document {\n  relation viewer: user\n"
            "  permission view = viewer\n}\n"
        }
    )
    schema_: str = Field(alias="schema")
    language: Literal["zed"] = "zed"
    metadata: dict[str, Any] = {}


class StoreRequest(BaseModel):
    """Create a store."""

    model_config = example({"name": "acme"})
    name: str = Field(description="`[a-z][a-z0-9-]{0,62}`")
