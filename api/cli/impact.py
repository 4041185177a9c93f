"""`impact`, `schema impact` and `schema gate`: what a change would do, before it is made."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.client import JsonObject, Server
from api.cli.failure import ExitCode, Failure
from api.cli.filters import ConsistencyOption, TimeOption, ZookieOption, consistency
from api.cli.options import Run, command
from api.cli.schema_files import SchemaProblemsError, compiled, load
from api.cli.whatif import SchemaOption, WithOption, WithoutOption, overlay

_NUMBERS = ("gained", "lost", "changed", "new_access")
_KINDS = ("gained", "lost", "changed")
_STYLES = {"gained": "green", "lost": "red", "changed": "yellow"}
_SAMPLE = 10

TypesOption = Annotated[
    list[str] | None, typer.Option("--type", help="Only objects of this type; repeatable.")
]
PermissionsOption = Annotated[
    list[str] | None, typer.Option("--permission", help="Only this permission; repeatable.")
]
SubjectsOption = Annotated[
    list[str] | None,
    typer.Option("--subjects", help="Only `TYPE` or `TYPE#RELATION`; repeatable."),
]
RelationsOption = Annotated[
    bool, typer.Option("--relations", help="Count relations, too, not permissions alone.")
]
SampleOption = Annotated[
    int, typer.Option("--limit", min=1, max=1000, help="Show so many of each kind and permission.")
]
WholeOption = Annotated[
    bool, typer.Option("--all", help="Go on to the end, however many requests it takes.")
]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="The proposed schema; - for standard input.")
]


@command()
def impact(
    run: Run,
    *,
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    types: TypesOption = None,
    permissions: PermissionsOption = None,
    subjects: SubjectsOption = None,
    relations: RelationsOption = False,
    limit: SampleOption = _SAMPLE,
    everything: WholeOption = False,
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """Show who would gain and who would lose access if tuples or the schema changed.

    Exits with 6 if the answer is incomplete.
    """
    change = overlay(added, removed, schema)
    if not change:
        raise Failure("it says no change", hint="give --with, --without or --schema")
    body = {
        **change,
        **_restricted(types, permissions, subjects, relations=relations),
        "limit": limit,
        "consistency": consistency(mode, zookie, at_time),
    }
    _tell(run, _asked(run, body, limit if everything else None))


@command()
def schema_impact(
    run: Run,
    file: FileArgument,
    *,
    types: TypesOption = None,
    permissions: PermissionsOption = None,
    subjects: SubjectsOption = None,
    relations: RelationsOption = False,
    limit: SampleOption = _SAMPLE,
    everything: WholeOption = False,
) -> None:
    """Show who would gain and who would lose access if a file were the store's schema.

    Exits with 6 if the answer is incomplete.
    """
    restricted = _restricted(types, permissions, subjects, relations=relations)
    body = {**_proposed(file), **restricted, "limit": limit}
    _tell(run, _asked(run, body, limit if everything else None))


@command()
def gate(
    run: Run,
    file: FileArgument,
    *,
    no_new_access: Annotated[
        bool, typer.Option("--no-new-access", help="Nobody may gain access.")
    ] = False,
    types: TypesOption = None,
    permissions: PermissionsOption = None,
    subjects: SubjectsOption = None,
    relations: RelationsOption = False,
    limit: SampleOption = _SAMPLE,
) -> None:
    """Let a proposed schema pass, or not: for CI.

    Exits with 0 if nobody gains access, with 1 if somebody would, and with 6 if nobody is known to
    but the answer is incomplete.
    """
    if not no_new_access:
        raise Failure("it says no rule", hint="give --no-new-access")
    restricted = _restricted(types, permissions, subjects, relations=relations)
    answer = _asked(run, {**_proposed(file), **restricted, "limit": limit}, limit)
    passed = not answer["new_access"] and answer["complete"]
    if run.output.as_json:
        run.output.json({"passed": passed, **answer})
    else:
        _show(run, answer)
        if answer["new_access"]:
            run.output.line(f"new access: {_count(answer, 'new_access')}", style="bold red")
        elif passed:
            run.output.line("no new access", style="green")
        else:
            run.output.line("not known: the answer is incomplete", style="yellow")
    if not passed:
        raise typer.Exit(ExitCode.NO if answer["new_access"] else ExitCode.INCOMPLETE)


def _proposed(file: str) -> JsonObject:
    """The overlay of a schema file, problems told as `schema write` tells them."""
    try:
        loaded = load(file)
        compiled(loaded)
    except SchemaProblemsError as error:
        raise error.as_failure() from None
    return {"overlay": {"schema": loaded.text}, "consistency": "fully_consistent"}


def _restricted(
    types: list[str] | None,
    permissions: list[str] | None,
    subjects: list[str] | None,
    *,
    relations: bool,
) -> JsonObject:
    given = {"types": types, "permissions": permissions, "subjects": subjects}
    made: JsonObject = {name: value for name, value in given.items() if value}
    return {**made, "include_relations": True} if relations else made


def _asked(run: Run, body: JsonObject, whole: int | None) -> JsonObject:
    """The first answer, or with a sample size all of them as one."""
    with Server(run.options) as server:
        path = server.store_path("/impact")
        answer = server.call("POST", path, body)
        while whole is not None and answer["cursor"] is not None:
            following = server.call("POST", path, {**body, "cursor": answer["cursor"]})
            answer = _joined(answer, following, whole)
    return answer


def _joined(one: JsonObject, two: JsonObject, sample: int) -> JsonObject:
    """Two parts of an answer as one: what stopped the first has gone on."""
    rows: dict[tuple[str, ...], JsonObject] = {}
    for row in (*one["permissions"], *two["permissions"]):
        key = (row["type"], row["permission"], row["subjects"])
        known = rows.get(key)
        if known is None:
            rows[key] = row
            continue
        samples = {kind: (known["sample"][kind] + row["sample"][kind])[:sample] for kind in _KINDS}
        rows[key] = {**row, **_sum(known, row), "sample": samples}
    gaps = [gap for gap in one["gaps"] if gap["about"] is not None] + two["gaps"]
    told = {"permissions": [rows[key] for key in sorted(rows)], "gaps": gaps}
    return {**two, **_sum(one, two), **told, "complete": not gaps}


def _sum(one: JsonObject, two: JsonObject) -> JsonObject:
    return {name: one[name] + two[name] for name in _NUMBERS}


def _tell(run: Run, answer: JsonObject) -> None:
    if run.output.as_json:
        run.output.json(answer)
    else:
        _show(run, answer)
        if answer["cursor"] is not None:
            run.output.note("there is more to compare: --all goes on")
        run.output.note(f"zookie: {answer['zookie']}")
    if not answer["complete"]:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _show(run: Run, answer: JsonObject) -> None:
    if answer["permissions"]:
        columns = ("TYPE", "PERMISSION", "SUBJECTS", "GAINED", "LOST", "CHANGED", "NEW ACCESS")
        run.output.table(columns, [_row(row) for row in answer["permissions"]])
        run.output.line("")
        found = [(row, kind) for row in answer["permissions"] for kind in _KINDS]
        samples = [(row, kind, one) for row, kind in found for one in row["sample"][kind]]
        run.output.table(
            ("CHANGE", "OBJECT", "PERMISSION", "SUBJECT", "BEFORE", "AFTER"),
            [
                (
                    kind,
                    one["object"],
                    row["permission"],
                    one["subject"],
                    _said(one["before"]),
                    _said(one["after"]),
                )
                for row, kind, one in samples
            ],
            [_STYLES[kind] for _, kind, _ in samples],
        )
        run.output.line("")
    told = ", ".join(f"{_count(answer, name)} {name}" for name in _KINDS)
    run.output.line(told)
    for gap in answer["gaps"]:
        about = gap["about"] or "the rest"
        run.output.note(f"incomplete: {about}: {gap['error']['detail']}", style="yellow")


def _row(row: JsonObject) -> tuple[str, ...]:
    return (row["type"], row["permission"], row["subjects"], *(str(row[n]) for n in _NUMBERS))


def _count(answer: JsonObject, name: str) -> str:
    return str(answer[name]) if answer["complete"] else f"at least {answer[name]}"


def _said(side: JsonObject) -> str:
    missing = ", ".join(side["missing_context"])
    return f"{side['decision']} ({missing})" if missing else str(side["decision"])
