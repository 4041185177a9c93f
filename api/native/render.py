"""Engine answers to JSON: tuples as objects, times as RFC 3339, contexts as they were stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.errors import describe
from engine.decision import Decision
from engine.errors import BudgetExceeded, EngineError
from engine.requests import (
    BatchAnswer,
    CheckAnswer,
    DeleteAnswer,
    ExpandAnswer,
    ExpandNode,
    ExpandPage,
    ExpandSubject,
    ReadAnswer,
    SchemaAnswer,
    SchemaWritten,
    WatchEvent,
    WriteAnswer,
)
from engine.store.protocol import StoreRecord
from engine.tuples import RelationTuple, format_time

Json = dict[str, Any]
MAX_TREE_DEPTH = 200
"""Nested deeper, a document is refused by many JSON readers."""

_encoder = msgspec.json.Encoder()
encode, encode_lines = _encoder.encode, _encoder.encode_lines


def tuple_(item: RelationTuple) -> Json:
    """A relation tuple in its object form; what it does not have is left out."""
    told: Json = {
        "object": str(item.object),
        "relation": item.relation,
        "subject": str(item.subject),
    }
    return told | _conditions(item)


def _conditions(item: RelationTuple | ExpandSubject) -> Json:
    told: Json = {}
    if item.caveat:
        told["caveat"] = {"name": item.caveat, "context": _context(item.context)}
    if item.expires_at is not None:
        told["expires_at"] = format_time(item.expires_at)
    return told


def _context(canonical: str) -> msgspec.Raw:
    return msgspec.Raw(canonical.encode() if canonical else b"{}")


def decision(item: Decision) -> Json:
    """A decision with its missing context names, sorted."""
    return {
        "decision": item.verdict.value,
        "allowed": item.allowed,
        "missing_context": sorted(item.missing),
    }


def check(answer: CheckAnswer) -> Json:
    """The answer to one check."""
    return _explained(decision(answer.decision), answer.explanation) | {"zookie": answer.zookie}


def batch(answer: BatchAnswer) -> Json:
    """The answers to a batch, in order; a check that failed has an `error` in its place."""
    results = [
        _explained(outcome(item), why)
        for item, why in zip(answer.results, answer.explanations, strict=True)
    ]
    return {"results": results, "zookie": answer.zookie}


def outcome(item: Decision | EngineError) -> Json:
    """What became of one check of a batch."""
    return {"error": describe(item)} if isinstance(item, EngineError) else decision(item)


def _explained(told: Json, explanation: Mapping[str, Any] | None) -> Json:
    return told if explanation is None else {**told, "explanation": explanation}


def read(answer: ReadAnswer) -> Json:
    """A page of tuples."""
    tuples = [tuple_(item) for item in answer.tuples]
    return {"tuples": tuples, "cursor": answer.cursor, "zookie": answer.zookie}


def write(answer: WriteAnswer) -> Json:
    """What became of each update."""
    return {"zookie": answer.zookie, "results": answer.results}


def delete(answer: DeleteAnswer) -> Json:
    """How much a delete deleted."""
    return {"deleted": answer.deleted, "complete": answer.complete, "zookie": answer.zookie}


def expand(answer: ExpandAnswer) -> Json:
    """A userset tree. Raises BudgetExceeded when it is nested too deeply for JSON."""
    return {"tree": _node(answer.tree, 1), "zookie": answer.zookie}


def expand_page(answer: ExpandPage) -> Json:
    """Trees, as in `expand`."""
    trees = [_node(tree, 1) for tree in answer.trees]
    return {"trees": trees, "cursor": answer.cursor, "zookie": answer.zookie}


def too_deep() -> BudgetExceeded:
    """The error of a tree that is whole, but cannot be told in JSON."""
    return BudgetExceeded(
        f"the tree is nested deeper than {MAX_TREE_DEPTH}",
        expected="an expand of an object nearer to the end of the chain",
        budget="depth",
    )


def _node(node: ExpandNode, depth: int) -> Json:
    if depth > MAX_TREE_DEPTH:
        raise too_deep()
    told: Json = {"kind": node.kind, "object": str(node.object), "relation": node.relation}
    if node.via is not None:
        told["via"] = _subject(node.via)
    if node.subjects:
        told["subjects"] = [_subject(item) for item in node.subjects]
    if node.children:
        told["children"] = [_node(child, depth + 1) for child in node.children]
    return told


def _subject(item: ExpandSubject) -> Json:
    return {"subject": str(item.subject), **_conditions(item)}


def schema(answer: SchemaAnswer) -> Json:
    """The schema in force."""
    return {
        "schema": answer.text,
        "language": answer.language,
        "version": answer.version,
        "zookie": answer.zookie,
    }


def schema_written(answer: SchemaWritten, *, dry_run: bool) -> Json:
    """A schema write; a dry run says what stands in its way, too."""
    told: Json = {
        "version": answer.version,
        "zookie": answer.zookie,
        "changes": [dict(change) for change in answer.changes],
        "warnings": [dict(warning) for warning in answer.warnings],
    }
    if dry_run:
        told["blocked_by"] = [tuple_(item) for item in answer.blocked_by]
    return told


def store(record: StoreRecord) -> Json:
    """A store."""
    return {
        "name": record.name,
        "id": record.id,
        "created_at": format_time(record.created_at),
        "title": record.title,
    }


def event(item: WatchEvent) -> Json:
    """One revision, as a watcher sees it."""
    return {
        "zookie": item.zookie,
        "updates": [{"op": str(op), "tuple": tuple_(changed)} for op, changed in item.changes],
        "metadata": dict(item.metadata),
        "schema_changed": item.schema_changed,
    }
