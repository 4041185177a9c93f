"""LookupPermissions: everything that a subject may do on an object."""

from __future__ import annotations

from engine.asking import answer, checked_context, checked_overlay, checked_subject
from engine.decision import Decision, Verdict
from engine.errors import EngineError, InvalidContext
from engine.pages import Pages, Way
from engine.requests import Check, Gap, LookupPermissions, PermissionsAnswer


async def lookup_permissions(
    pages: Pages, store: str, asked: LookupPermissions, way: Way
) -> PermissionsAnswer:
    """The permissions, and the relations if wanted, that are allowed or conditional, by name.

    They are one batch of checks, which share what they read. Raises UnknownType, UnknownRelation,
    InvalidRequest, LimitExceeded, InvalidContext, and what choosing the snapshot raises; one that
    cannot be decided is a gap.
    """
    page = await pages.open(store, "lookup_permissions", (), way, (asked.object,))
    ground, compiled = page.ground, page.ground.compiled
    known = compiled.object_type(asked.object.type, "object")
    checked_subject(compiled, asked.subject, "subject")
    checked_context(ground, asked.context, "context")
    checked_overlay(ground, asked.contextual_tuples, "contextual_tuples")
    names = sorted(known.names if asked.relations else known.permissions)
    checks = [
        Check(asked.object, name, asked.subject, asked.context, asked.contextual_tuples)
        for name in names
    ]
    found: list[tuple[str, Decision]] = []
    gaps: list[Gap] = []
    for name, result in zip(names, await answer(ground, checks, page.budget), strict=True):
        if isinstance(result, InvalidContext):
            raise result
        if isinstance(result, EngineError):
            gaps.append(Gap(name, result))
        elif result.verdict is not Verdict.DENIED:
            found.append((name, result))
    return PermissionsAnswer(tuple(found), tuple(gaps), page.zookie)
