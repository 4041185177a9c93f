"""Which objects' answers can differ between two snapshots under one schema?

Those that a changed tuple stands on, and those that come to them: by a tuple whose subject is such
an object, with or without a relation, at either snapshot. That is more than the rewrites would
follow, and never less.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.budget import Budget
from engine.causes import Changes
from engine.reader import ReverseReader, ReverseScan
from engine.tuples import Object
from schema.model import Schema

_EACH = 1_000
_SCANS_PER_ROUND = 2_000
_MOST = 10_000


async def touched(
    schema: Schema, readers: Sequence[ReverseReader], changes: Changes, budget: Budget
) -> set[Object] | None:
    """The objects, or None where they cannot be told apart from all others: when there are too
    many of them or of the changes, and when tuples may expire. Raises BudgetExceeded."""
    forms: dict[str, set[tuple[str, str, str]]] = {}
    for kind, known in schema.object_types.items():
        for relation in known.relations.values():
            for form in relation.subject_types:
                if form.expiration:
                    return None
                forms.setdefault(form.type, set()).add((form.relation, kind, relation.name))
    if not changes.whole or any(one.schema_changed for one in changes.revisions):
        return None
    found = {change.tuple.object for one in changes.revisions for change in one.changes}
    waiting = list(found)
    while waiting:
        budget.check_time()
        scans = [
            ReverseScan(*one, relation, kind, name)
            for one in waiting
            for relation, kind, name in sorted(forms.get(one.type, ()))
        ]
        waiting = []
        for start in range(0, len(scans), _SCANS_PER_ROUND):
            part = scans[start : start + _SCANS_PER_ROUND]
            for reader in readers:
                for scan, edges in zip(
                    part, await reader.objects_of(part, _EACH, budget.reads), strict=True
                ):
                    if len(edges) == _EACH:
                        return None
                    budget.spend_reads(len(edges))
                    new = {Object(scan.object_type, edge.object_id) for edge in edges} - found
                    found |= new
                    waiting += new
        if len(found) > _MOST:
            return None
    return found
