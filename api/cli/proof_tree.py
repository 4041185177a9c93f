"""A proof as a tree on the terminal. A goal that several others rest on is shown once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from api.cli.output import safe
from api.cli.proof_text import change_text, fact_text, step_text, told_judgements, way_text

Json = Mapping[str, Any]
STYLES = {"allowed": "green", "denied": "red", "conditional": "yellow"}
_MARKS = {"allowed": "✓", "denied": "✗", "conditional": "?"}
_HEADINGS = {"intersection": "all of", "exclusion": "but not"}


def proof_tree(proof: Json) -> Tree:
    """The tree of a proof, the goal that was asked about on top."""
    judgements = told_judgements(proof)
    root = f"{proof['object']}#{proof['relation']}"
    made = Tree(_goal(root, proof["decision"]))
    seen: set[str] = set()
    waiting = [(made, root)]
    while waiting:
        branch, goal = waiting.pop()
        judgement = judgements.get(goal)
        if judgement is None:
            branch.add(Text("left out: the proof was cut short", style="dim"))
        elif goal in seen:
            branch.add(Text("as above", style="dim"))
        else:
            seen.add(goal)
            found = _Branches(judgements, goal)
            found.add(branch, judgement["step"])
            waiting.extend(reversed(found.goals))
    return made


class _Branches:
    """What one goal's step hangs into the tree, and the goals that are to hang below it."""

    def __init__(self, judgements: Mapping[str, Json], goal: str) -> None:
        self._judgements = judgements
        self._goal = goal
        self.goals: list[tuple[Tree, str]] = []

    def add(self, branch: Tree, step: Json) -> None:
        """Hang a step and its parts below a branch."""
        text = step_text(step, self._goal)
        if text:
            branch.add(_line(text, step["verdict"]))
        if step["kind"] == "computed":
            self._rest(branch, step["then"])
        for part in step.get("parts") or ():
            self._part(branch, step, part)
        for fact in step.get("tuples") or ():
            below = branch.add(_line(fact_text(fact), fact["verdict"]))
            if "then" in fact:
                self._rest(below, fact["then"])
            if "walk" in fact:
                self.add(below, fact["walk"])

    def _part(self, branch: Tree, step: Json, part: Json) -> None:
        kind = step["kind"]
        subtracted = kind == "exclusion" and part.get("branch") == 1
        if subtracted or kind == "intersection":
            heading = Text(_HEADINGS[kind], style="dim")
            self.add(branch.add(heading), part)
        else:
            self.add(branch, part)

    def _rest(self, branch: Tree, goal: str) -> None:
        verdict = self._judgements.get(goal, {}).get("verdict", "")
        self.goals.append((branch.add(_goal(goal, verdict)), goal))


def _goal(goal: str, verdict: str) -> Text:
    mark = f"{_MARKS.get(verdict, '…')} "
    return Text(mark, style=STYLES.get(verdict, "")) + Text(safe(goal), style="bold not dim")


def _line(text: str, verdict: str) -> Text:
    return Text(safe(text), style=STYLES.get(verdict, ""))


def way_lines(ways: Json) -> Iterator[str]:
    """The nearest ways to yes, a line each, the changes of one way behind another."""
    if not ways["found"]:
        yield "no way to yes was found" + (f": {ways['reason']}" if ways.get("reason") else "")
        return
    yield "nearest ways to yes:"
    for number, way in enumerate(ways["found"], 1):
        changes = "  ".join(change_text(update) for update in way["updates"])
        yield f"{number}. {changes}  ({way_text(way)})"
    if ways.get("reason"):
        yield f"there may be others: {ways['reason']}"
