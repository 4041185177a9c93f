"""Each check asked in every way that must not change its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.requests import Check
from engine.tuples import RelationTuple
from tests.conformance.systems import Outcome, System, Tenant, touches


async def ask_every_way(
    tenant: Tenant, checks: Sequence[Check], zookie: str
) -> dict[str, list[Outcome]]:
    """Alone, again, together, and together in reverse; the answers by way, in the checks' order."""
    backwards = await tenant.batch(checks[::-1], zookie)
    return {
        "alone": [await tenant.check(check, zookie) for check in checks],
        "again": [await tenant.check(check, zookie) for check in checks],
        "together": await tenant.batch(checks, zookie),
        "reversed": backwards[::-1],
    }


async def ask_half_contextual(
    system: System, schema: str, tuples: Sequence[RelationTuple], checks: Sequence[Check]
) -> dict[str, list[Outcome]]:
    """With every second tuple stored and the others contextual, and the other way round."""
    found: dict[str, list[Outcome]] = {}
    for start in (0, 1):
        tenant = await system.tenant()
        zookie = await tenant.put_schema(schema)
        stored, contextual = tuples[start::2], tuples[1 - start :: 2]
        if stored:
            zookie = await tenant.write(touches(stored))
        asked = [replace(check, contextual_tuples=contextual) for check in checks]
        found[f"contextual from {1 - start}"] = await tenant.batch(asked, zookie)
        found[f"contextual from {1 - start}, alone"] = [
            await tenant.check(check, zookie) for check in asked
        ]
    return found
