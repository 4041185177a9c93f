"""Long lists of tuples without condition are the edges that they stand for."""

from __future__ import annotations

from engine.reader import PlainEdges, ReverseEdge


def test_plain_edges_are_edges() -> None:
    edges = PlainEdges(["a", "b", "c"])
    assert list(edges) == [ReverseEdge("a"), ReverseEdge("b"), ReverseEdge("c")]
    assert edges == [ReverseEdge("a"), ReverseEdge("b"), ReverseEdge("c")]
    assert edges != [ReverseEdge("a"), ReverseEdge("b"), ReverseEdge("c", "caveat")]
    assert edges[-1] == ReverseEdge("c")
    assert edges[1:] == PlainEdges(["b", "c"])
    assert len(edges[:0]) == 0
    assert edges
    assert not PlainEdges([])
