"""The calls of AuthZEN 1.0, under each store."""

from __future__ import annotations

from api.auth import Right
from api.authzen import evaluation, metadata, searching, wire
from api.authzen.errors import render
from api.authzen.paths import WELL_KNOWN
from api.calls import Operation

STORE = "/v1/stores/{store}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "authzen_evaluation",
        "POST",
        f"{STORE}/access/v1/evaluation",
        Right.CHECK,
        evaluation.evaluation,
        "AuthZEN: may a subject do this to a resource?",
        wire.AuthzenEvaluation,
        wire.AuthzenDecision,
        problem=render,
        echoes=True,
    ),
    Operation(
        "authzen_evaluations",
        "POST",
        f"{STORE}/access/v1/evaluations",
        Right.CHECK,
        evaluation.evaluations,
        "AuthZEN: many evaluations at one snapshot",
        wire.AuthzenEvaluations,
        wire.AuthzenDecisions,
        variant=wire.AuthzenDecision,
        problem=render,
        echoes=True,
    ),
    Operation(
        "authzen_search_subjects",
        "POST",
        f"{STORE}/access/v1/search/subject",
        Right.READ,
        searching.search_subjects,
        "AuthZEN: who may do this to a resource?",
        wire.AuthzenSubjectSearch,
        wire.AuthzenFound,
        problem=render,
        echoes=True,
    ),
    Operation(
        "authzen_search_resources",
        "POST",
        f"{STORE}/access/v1/search/resource",
        Right.READ,
        searching.search_resources,
        "AuthZEN: to which resources may a subject do this?",
        wire.AuthzenResourceSearch,
        wire.AuthzenFound,
        problem=render,
        echoes=True,
    ),
    Operation(
        "authzen_search_actions",
        "POST",
        f"{STORE}/access/v1/search/action",
        Right.CHECK,
        searching.search_actions,
        "AuthZEN: what may a subject do to a resource?",
        wire.AuthzenActionSearch,
        wire.AuthzenFound,
        problem=render,
        echoes=True,
    ),
    Operation(
        "authzen_metadata",
        "GET",
        f"{STORE}{WELL_KNOWN}",
        Right.CHECK,
        metadata.metadata,
        "AuthZEN: where these calls are",
        None,
        wire.AuthzenMetadata,
        problem=render,
        echoes=True,
    ),
)
