"""What one request may cost. Every limit is a setting (`docs/http-api.md` tables them)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts are items, sizes are bytes of UTF-8, `deadline` is seconds. `depth` is the hop at
    which a check ends in an error (`engine.depth`), 0 for none."""

    updates: int = 1000
    preconditions: int = 1000
    checks: int = 1000
    contextual_tuples: int = 100
    page_default: int = 100
    page_maximum: int = 1000
    import_batch: int = 10_000
    request_context_bytes: int = 4096
    tuple_context_bytes: int = 25_000
    metadata_bytes: int = 65_000
    schema_bytes: int = 4 * 1024 * 1024
    evaluation_reads: int = 200_000
    evaluation_nodes: int = 100_000
    depth: int = 0
    deadline: float = 5.0
    expand_nodes: int = 10_000
    explain_seconds: float = 1.0
    explain_reads: int = 20_000
    explain_goals: int = 1000
    explain_tuples: int = 5000
    explain_ways: int = 5
    explain_trials: int = 200
    explained_checks: int = 20
