"""Pictures of proofs: a graph of goals and tuples, as DOT for other tools or as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import networkx as nx

from api.cli.output import safe
from api.cli.proof_text import fact_text, step_text, told_judgements

Json = Mapping[str, Any]
MAX_NODES = 300
_COLOURS = {"allowed": "#1a7f37", "denied": "#cf222e", "conditional": "#9a6700"}
_GREY = "#57606a"
_ROW, _HEIGHT, _GAP, _CHARACTER, _MARGIN = 84, 30, 24, 7.3, 16


def proof_graph(proof: Json) -> nx.DiGraph[str]:
    """Goals and tuples as nodes, each with `text`, `verdict` and `box` (a goal); what rests on
    what as edges, `subtracted` where an exclusion takes it away. At most MAX_NODES, the nearest
    to the goal that was asked about; where more hang below, a node says how many are left out."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    root = f"{proof['object']}#{proof['relation']}"
    _node(graph, root, root, proof["decision"], box=True)
    for judgement in told_judgements(proof).values():
        goal = judgement["goal"]
        _node(graph, goal, goal, judgement["verdict"], box=True)
        _step(graph, goal, goal, judgement["step"], subtracted=False)
    near = [root, *(node for _, node in nx.bfs_edges(graph, root))]
    shown, left_out = near[:MAX_NODES], len(near) - MAX_NODES
    kept: nx.DiGraph[str] = graph.subgraph(shown).copy()
    if left_out > 0:
        _mark_left_out(graph, kept, left_out)
    return kept


def _mark_left_out(graph: nx.DiGraph[str], kept: nx.DiGraph[str], count: int) -> None:
    """One node for all that is left out, below everything that it hangs from."""
    name = f"… {count} more"
    above = [node for node in kept if any(below not in kept for below in graph.successors(node))]
    kept.add_node(name, text=name, verdict="", box=False)
    kept.add_edges_from(((node, name) for node in above), subtracted=False)


def _step(graph: nx.DiGraph[str], above: str, goal: str, step: Json, *, subtracted: bool) -> None:
    text = step_text(step, goal)
    if text:
        name = f"{goal} {text}"
        _node(graph, name, text, step["verdict"])
        graph.add_edge(above, name, subtracted=subtracted)
    if "then" in step:
        graph.add_edge(above, step["then"], subtracted=subtracted)
    for part in step.get("parts") or ():
        minus = step["kind"] == "exclusion" and part.get("branch") == 1
        _step(graph, above, goal, part, subtracted=subtracted != minus)
    for fact in step.get("tuples") or ():
        text = fact_text(fact)
        _node(graph, text, text, fact["verdict"])
        graph.add_edge(above, text, subtracted=subtracted)
        if "then" in fact:
            graph.add_edge(text, fact["then"], subtracted=False)
        if "walk" in fact:
            walked = f"{fact['tuple']['subject'].partition('#')[0]}#"
            _step(graph, text, walked, fact["walk"], subtracted=False)


def _node(graph: nx.DiGraph[str], name: str, text: str, verdict: str, *, box: bool = False) -> None:
    graph.add_node(name, text=safe(text), verdict=verdict, box=box)


def _described(graph: nx.DiGraph[str], name: str) -> tuple[str, str, bool]:
    node = graph.nodes[name]
    colour = _COLOURS.get(node.get("verdict", ""), _GREY)
    return node.get("text", safe(name)), colour, bool(node.get("box"))


def as_dot(proof: Json) -> str:
    """The graph in Graphviz's language."""
    graph = proof_graph(proof)
    numbers = {name: f"n{number}" for number, name in enumerate(graph)}
    lines = ["digraph proof {", '  node [fontname="sans-serif" fontsize=11];']
    for name, number in numbers.items():
        text, colour, box = _described(graph, name)
        quoted = text.replace("\\", "\\\\").replace('"', '\\"')
        shape = "box" if box else "plaintext"
        lines.append(f'  {number} [label="{quoted}" shape={shape} fontcolor="{colour}"];')
    for source, target in graph.edges:
        style = (
            ' [style=dashed label="but not"]' if graph.edges[source, target]["subtracted"] else ""
        )
        lines.append(f"  {numbers[source]} -> {numbers[target]}{style};")
    return "\n".join([*lines, "}"]) + "\n"


def as_svg(proof: Json) -> str:
    """The graph drawn in rows, what rests on other things above them."""
    graph = proof_graph(proof)
    root = f"{proof['object']}#{proof['relation']}"
    places, width, height = _layout(graph, root)
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for source, target in graph.edges:
        (x1, y1, _), (x2, y2, _) = places[source], places[target]
        dashes = ' stroke-dasharray="5 4"' if graph.edges[source, target]["subtracted"] else ""
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1 + _HEIGHT / 2:.1f}" x2="{x2:.1f}" '
            f'y2="{y2 - _HEIGHT / 2:.1f}" stroke="{_GREY}"{dashes}/>'
        )
    for name, (x, y, wide) in places.items():
        text, colour, box = _described(graph, name)
        if box:
            parts.append(
                f'<rect x="{x - wide / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{wide:.1f}" '
                f'height="{_HEIGHT}" rx="5" fill="#f6f8fa" stroke="{colour}"/>'
            )
        parts.append(
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{colour}">'
            f"{escape(text)}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _layout(
    graph: nx.DiGraph[str], root: str
) -> tuple[dict[str, tuple[float, float, float]], float, float]:
    """The middle and the width of each node, and the size of the picture."""
    widths = {name: len(_described(graph, name)[0]) * _CHARACTER + _GAP for name in graph}
    rows = list(nx.bfs_layers(graph, root))
    spans = [sum(widths[name] + _GAP for name in row) for row in rows]
    full = max(spans) + 2 * _MARGIN
    places = {}
    for number, (row, span) in enumerate(zip(rows, spans, strict=True)):
        x = (full - span + _GAP) / 2
        y = _MARGIN + _HEIGHT / 2 + number * _ROW
        for name in row:
            places[name] = (x + widths[name] / 2, y, widths[name])
            x += widths[name] + _GAP
    return places, full, _MARGIN * 2 + _HEIGHT + (len(rows) - 1) * _ROW
