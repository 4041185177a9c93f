"""`check`, `expand` and `read`: questions about one snapshot."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from api.cli.client import Server
from api.cli.explained import DotOption, ProofFiles, ProofOption, SvgOption, show
from api.cli.failure import ExitCode, Failure
from api.cli.filters import (
    ConsistencyOption,
    FilterArgument,
    ObjectOption,
    RelationOption,
    SubjectOption,
    TimeOption,
    ZookieOption,
    consistency,
    json_option,
    tuple_filter,
)
from api.cli.options import Run, command
from api.cli.output import console, safe
from api.cli.paging import AllOption, CursorOption, LimitOption, pages, tell_end
from api.cli.whatif import SchemaOption, WithOption, WithoutOption, overlay
from engine.tuples import parse_tuple

JsonObject = dict[str, Any]
_EXIT_CODES = {
    "allowed": ExitCode.OK,
    "denied": ExitCode.NO,
    "conditional": ExitCode.CONDITIONAL,
}
_TREES_AT_ONCE = 100
_STYLES = {"allowed": "green", "denied": "red", "conditional": "yellow"}


@command()
def check(
    run: Run,
    *,
    question: Annotated[
        list[str],
        typer.Argument(
            metavar="OBJECT RELATION SUBJECT",
            help="As three words, or as one: `document:readme#view@user:ann`.",
            show_default=False,
        ),
    ],
    context: Annotated[
        str,
        typer.Option("--context", help="Caveat context: JSON, or @FILE.", show_default=False),
    ] = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why, and what would turn a denial.")
    ] = False,
    proof: ProofOption = None,
    dot: DotOption = None,
    svg: SvgOption = None,
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """Ask whether a subject has a relation or permission.

    Exits with 0 for allowed, 1 for denied and 3 for conditional.
    """
    files = ProofFiles(proof, dot, svg)
    body: JsonObject = {
        **_question(question),
        "context": json_option(context, "--context"),
        "consistency": consistency(mode, zookie, at_time),
        **overlay(added, removed, schema),
    }
    if explain or files.wanted:
        body["explain"] = True
    with Server(run.options) as server:
        answer = server.call("POST", server.store_path("/check"), body)
    decision = str(answer["decision"])
    if run.output.as_json:
        run.output.json(answer)
    else:
        run.output.line(decision, style=_STYLES.get(decision, ""))
        if answer.get("missing_context"):
            run.output.note("missing context: " + ", ".join(answer["missing_context"]))
        if explain:
            show(run.output, answer["explanation"])
        run.output.note(f"zookie: {answer['zookie']}")
    if files.wanted:
        files.write(answer["explanation"])
    raise typer.Exit(_EXIT_CODES.get(decision, ExitCode.UNAVAILABLE))


def _question(words: list[str]) -> JsonObject:
    if len(words) == 1:
        asked = parse_tuple(words[0], "the check")
        if asked.caveat or asked.expires_at is not None:
            raise Failure("a check has no suffix in brackets", hint="give --context")
        return {
            "object": str(asked.object),
            "relation": asked.relation,
            "subject": str(asked.subject),
        }
    if len(words) != 3:
        raise Failure(
            "expected an object, a relation and a subject",
            hint="as in `stonetown check document:readme view user:ann`",
        )
    return dict(zip(("object", "relation", "subject"), words, strict=True))


@command()
def expand(
    run: Run,
    *,
    object_: Annotated[str, typer.Argument(metavar="OBJECT", help="`TYPE:ID`.")],
    relation: Annotated[str, typer.Argument(metavar="RELATION", help="Or a permission.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="The usersets beneath it, too, each once.")
    ] = False,
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """Show the tree of subjects that a relation or permission is made of."""
    body: JsonObject = {
        "object": object_,
        "relation": relation,
        "consistency": consistency(mode, zookie, at_time),
        **overlay(added, removed, schema),
    }
    with Server(run.options) as server:
        path = server.store_path("/expand")
        answer = _all_trees(server, path, body) if recursive else server.call("POST", path, body)
    if run.output.as_json:
        run.output.json(answer)
        return
    for tree in answer["trees"] if recursive else (answer["tree"],):
        console(sys.stdout).print(_tree(tree))
    run.output.note(f"zookie: {answer['zookie']}")


def _all_trees(server: Server, path: str, body: JsonObject) -> JsonObject:
    """All pages of a recursive expand, as one."""
    body |= {"recursive": True, "limit": _TREES_AT_ONCE}
    trees: list[JsonObject] = []
    while True:
        answer = server.call("POST", path, body)
        trees += answer["trees"]
        if answer["cursor"] is None:
            return {**answer, "trees": trees}
        body["cursor"] = answer["cursor"]


def _tree(node: JsonObject) -> Tree:
    made = Tree(_label(node))
    waiting = [(made, node)]
    while waiting:
        branch, item = waiting.pop()
        for subject in item.get("subjects") or ():
            branch.add(Text(safe(_subject(subject))))
        waiting.extend((branch.add(_label(child)), child) for child in item.get("children") or ())
    return made


def _label(node: JsonObject) -> Text:
    label = Text(safe(f"{node['object']}#{node['relation']}"), style="bold")
    label.append(f" {node['kind']}", style="not bold dim")
    if node.get("via"):
        label.append(safe(f" via {_subject(node['via'])}"), style="not bold dim")
    return label


def _subject(value: JsonObject) -> str:
    text = str(value["subject"])
    if value.get("caveat"):
        text += f" if {_caveat(value)}"
    if value.get("expires_at"):
        text += f" until {value['expires_at']}"
    return text


@command()
def read(
    run: Run,
    *,
    filter_: FilterArgument = "",
    object_: ObjectOption = "",
    relation: RelationOption = "",
    subject: SubjectOption = "",
    added: WithOption = None,
    removed: WithoutOption = None,
    schema: SchemaOption = None,
    limit: LimitOption = 100,
    everything: AllOption = False,
    cursor: CursorOption = "",
    mode: ConsistencyOption = None,
    zookie: ZookieOption = None,
    at_time: TimeOption = None,
) -> None:
    """List stored tuples that match a filter, sorted."""
    body: JsonObject = {
        "filter": tuple_filter(filter_, object_=object_, relation=relation, subject=subject),
        "consistency": consistency(mode, zookie, at_time),
        **overlay(added, removed, schema),
    }
    most = None if everything else limit
    with Server(run.options) as server:
        came = list(pages(server, "/read", "tuples", body, cursor=cursor, limit=most))
    answer = came[-1]
    found = [item for page in came for item in page["tuples"]]
    if run.output.as_json:
        run.output.json({**answer, "tuples": found})
        return
    run.output.table(("OBJECT", "RELATION", "SUBJECT", "CAVEAT", "EXPIRES"), map(_row, found))
    tell_end(run, answer)


def _row(item: JsonObject) -> tuple[str, ...]:
    return (
        str(item["object"]),
        str(item["relation"]),
        str(item["subject"]),
        _caveat(item),
        str(item.get("expires_at") or ""),
    )


def _caveat(value: JsonObject) -> str:
    caveat = value.get("caveat")
    if not caveat:
        return ""
    context = caveat.get("context")
    shown = json.dumps(context, ensure_ascii=False, separators=(",", ":")) if context else ""
    return f"{caveat['name']} {shown}".rstrip()
