"""What all questions share: the model and the consistency asked for, and how refusals are told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from api.calls import Call
from api.errors import Failure
from api.fga_ids import store_id
from api.openfga import fields, keys
from api.openfga.errors import Refused
from api.openfga.fields import Message
from api.openfga.tuples import tuple_refused
from engine.decision import Decision
from engine.errors import (
    EngineError,
    SchemaNotFound,
    StoreNotFound,
    UnknownRelation,
    UnknownSchema,
    UnknownType,
)
from engine.requests import (
    FULLY_CONSISTENT,
    MINIMIZE_LATENCY,
    AtLeastAsFresh,
    Consistency,
    Overlay,
)
from engine.tuples import RelationTuple, Subject

HIGHER = "HIGHER_CONSISTENCY"
CONSISTENCY = ("UNSPECIFIED", "MINIMIZE_LATENCY", HIGHER)
INVALID_NAMES = ("validation_error", "validation_error")
_PLACE = re.compile(r"(?:contextual_tuples|overlay\.add)\[(\d+)\]")


class Terms(NamedTuple):
    """What a question is answered by: the store's id as the client knows it, a model's id ("" for
    the latest), and a consistency."""

    store: str
    model: str
    consistency: Consistency

    @property
    def overlay(self) -> Overlay | None:
        """What makes the engine answer by the model: nothing for the latest."""
        return Overlay(named=self.model) if self.model else None

    def refusal(
        self, error: EngineError, about: About, codes: tuple[str, str] = INVALID_NAMES
    ) -> Failure:
        """An error of a question as OpenFGA tells it: itself if there it is no other. `codes` are
        those of an unknown type and of an unknown relation, unless they are the user's."""
        absent = self.no_model(error)
        if absent is not None:
            return absent
        place = _PLACE.search(error.field)
        if place is not None and int(place[1]) < len(about.tuples):
            return tuple_refused(error, about.tuples[int(place[1])])
        of_user = error.field.endswith("subject")
        of_subject = of_user or error.field in {"subject_type", "subject_relation"}
        kind = about.subject.type if of_subject else about.kind
        if of_user:
            codes = INVALID_NAMES
        if isinstance(error, UnknownType):
            return Refused(codes[0], f"type '{kind}' not found")
        if isinstance(error, UnknownRelation):
            name = about.subject.relation if of_subject else about.relation
            return Refused(codes[1], f"relation '{kind}#{name}' not found")
        return error

    def no_model(self, error: EngineError) -> Refused | None:
        """The refusal where there is no such model, or none at all; a store that is not there has
        none either. None for other errors."""
        if not isinstance(error, StoreNotFound | SchemaNotFound | UnknownSchema):
            return None
        if self.model:
            text = f"Authorization Model '{self.model}' not found"
            return Refused("authorization_model_not_found", text)
        text = f"No authorization models found for store '{self.store}'"
        return Refused("latest_authorization_model_not_found", text)


class About(NamedTuple):
    """What a question is about, for the words of its refusal."""

    kind: str
    relation: str
    subject: Subject
    tuples: Sequence[RelationTuple]


def terms_of(call: Call, body: Message) -> Terms:
    """The model, the consistency and the zookie that a body asks for."""
    model = body.text("authorization_model_id", fields.MODEL_ID)
    return Terms(store_id(call.store) or "", model, consistency_of(body))


def consistency_of(body: Message) -> Consistency:
    """The fields `consistency` and `zookie`: nothing is fresher than the former at its highest."""
    asked = body.choice("consistency", CONSISTENCY)
    zookie = body.text("zookie", fields.ANY_TEXT)
    if asked == HIGHER:
        return FULLY_CONSISTENT
    return AtLeastAsFresh(zookie) if zookie else MINIMIZE_LATENCY


def contextual_of(call: Call, body: Message) -> tuple[RelationTuple, ...]:
    """The tuples of `contextual_tuples.tuple_keys`. Raises Refused."""
    given = body.message("contextual_tuples", "ContextualTupleKeys")
    return () if given is None else tuples_of(call, given, "tuple_keys")


def tuples_of(call: Call, given: Message, name: str) -> tuple[RelationTuple, ...]:
    """Contextual tuples, each once. Raises Refused for one that stands twice with different
    conditions: it cannot be both."""
    found: dict[object, RelationTuple] = {}
    for key in given.messages(name, "TupleKey", high=call.settings.limit_contextual_tuples):
        item = keys.tuple_of(key, code="invalid_tuple")
        if found.setdefault(item.identity, item) != item:
            text = f"duplicate contextual tuple in request: {keys.shown_identity(item)}"
            raise Refused("duplicate_contextual_tuple", text)
    return tuple(found.values())


def conditional(outcome: Decision, told: str) -> Refused:
    """The refusal of an answer about the tuple `told` that misses context."""
    missing = " ".join(sorted(outcome.missing))
    return Refused(
        "validation_error",
        f"failed to evaluate relationship condition: tuple '{told}' is missing context parameters"
        f" '[{missing}]'",
    )
