"""What `check --explain` shows and keeps of a proof."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.drawing import as_dot, as_svg
from api.cli.output import Output, console
from api.cli.proof_tree import proof_tree, way_lines

ProofOption = Annotated[
    Path | None,
    typer.Option("--proof", help="Keep the proof, for `verify`.", show_default=False),
]
DotOption = Annotated[
    Path | None,
    typer.Option("--dot", help="Draw the proof for Graphviz.", show_default=False),
]
SvgOption = Annotated[
    Path | None, typer.Option("--svg", help="Draw the proof as a picture.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """Where a proof is to be kept: as JSON, and drawn."""

    proof: Path | None
    dot: Path | None
    svg: Path | None

    @property
    def wanted(self) -> bool:
        """Whether there is a file to write."""
        return bool(self.proof or self.dot or self.svg)

    def write(self, proof: Mapping[str, Any]) -> None:
        """Write the files. Raises OSError."""
        if self.proof:
            text = json.dumps(proof, ensure_ascii=False, indent=2)
            self.proof.write_text(text + "\n", encoding="utf-8")
        if self.dot:
            self.dot.write_text(as_dot(proof), encoding="utf-8")
        if self.svg:
            self.svg.write_text(as_svg(proof), encoding="utf-8")


def show(output: Output, proof: Mapping[str, Any]) -> None:
    """Print a proof as a tree, and the ways to yes below it."""
    console(sys.stdout).print(proof_tree(proof))
    if not proof["complete"]:
        output.note(f"the proof was cut short: {proof.get('reason', '')}", style="yellow")
    beside = proof.get("also_denied") or {}
    if beside.get("reason"):
        output.note(f"other sides that fail were left out: {beside['reason']}", style="yellow")
    if "ways_to_yes" in proof:
        for line in way_lines(proof["ways_to_yes"]):
            output.line(line)
