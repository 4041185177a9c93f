"""From a parsed document to a `Schema`: partials spliced in, and every name declared once."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType

import networkx as nx

from schema.model import Caveat, ObjectType, Permission, Relation, Schema
from schema.problems import ProblemList, quote
from schema.source import Span
from schema.zed.syntax import (
    CaveatNode,
    DefinitionNode,
    Document,
    ImportNode,
    PermissionNode,
    RelationNode,
    SpliceNode,
)

MAX_MEMBERS = 100_000
"""How many relations and permissions a schema may have once its partials are spliced in."""

Members = dict[str, RelationNode | PermissionNode]


def lower(document: Document) -> tuple[Schema, ProblemList]:
    """The schema that `document` says, and what is wrong with its declarations.

    Of names declared twice the first counts, so that the rest can still be checked.
    """
    lowering = _Lowering(document)
    object_types: dict[str, ObjectType] = {}
    caveats: dict[str, Caveat] = {}
    for node in lowering.definitions:
        members = lowering.members_of(node)
        if node.name not in object_types:
            object_types[node.name] = _object_type(node, members)
    for caveat in lowering.caveats:
        caveats[caveat.name] = lowering.caveat(caveat)
    schema = Schema(MappingProxyType(object_types), MappingProxyType(caveats))
    return schema, lowering.problems


def expanded_members(document: Document) -> list[tuple[str, Members]]:
    """Each object type of `document` with its members after splicing, for the lint."""
    lowering = _Lowering(document)
    return [(node.name, lowering.members_of(node)) for node in lowering.definitions]


@dataclass(slots=True)
class _Lowering:
    document: Document
    problems: ProblemList = field(default_factory=ProblemList)
    definitions: list[DefinitionNode] = field(default_factory=list)
    partials: dict[str, DefinitionNode] = field(default_factory=dict)
    caveats: list[CaveatNode] = field(default_factory=list)
    _spliced: dict[str, Members] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self._declare_all()
        self._splice_partials()

    def _declare_all(self) -> None:
        seen: dict[str, Span] = {}
        for node in self.document.statements:
            if isinstance(node, ImportNode):
                message = (
                    f"{quote(node.path)} cannot be imported here: "
                    "the files of a schema are joined before it is sent"
                )
                self.problems.add("import_refused", message, node.span)
            if not isinstance(node, DefinitionNode | CaveatNode):
                continue
            self._declare(seen, node.name, node.name_span)
            if isinstance(node, CaveatNode):
                self.caveats.append(node)
            elif node.partial:
                self.partials.setdefault(node.name, node)
            else:
                self.definitions.append(node)

    def _declare(self, seen: dict[str, Span], name: str, span: Span) -> bool:
        """Note a name, and a problem if it is there already; whether this is the first one."""
        first = seen.setdefault(name, span)
        if first is not span:
            message = f"{quote(name)} is already declared on line {first.line}"
            self.problems.add("duplicate_name", message, span)
        return first is span

    def _splice_partials(self) -> None:
        """Resolve the partials from those that splice nothing upwards; cycles are problems."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_nodes_from(self.partials)
        for name, node in self.partials.items():
            for member in node.members:
                if isinstance(member, SpliceNode) and member.name in self.partials:
                    graph.add_edge(name, member.name)
        for component in nx.strongly_connected_components(graph):
            for name in sorted(component):
                if len(component) > 1 or graph.has_edge(name, name):
                    self._cycle(self.partials[name], component)
            for name in component:
                self._spliced[name] = self.members_of(self.partials[name])

    def _cycle(self, node: DefinitionNode, component: set[str]) -> None:
        for member in node.members:
            if isinstance(member, SpliceNode) and member.name in component:
                message = f"the partial {quote(node.name)} contains itself"
                self.problems.add("partial_cycle", message, member.span)

    def members_of(self, node: DefinitionNode) -> Members:
        """The members of a definition by name, those of its partials among them."""
        members: Members = {}
        seen: dict[str, Span] = {}
        for member in node.members:
            if isinstance(member, SpliceNode):
                for spliced in self._partial(member).values():
                    self._add(members, seen, spliced, member.span)
            else:
                self._add(members, seen, member, member.name_span)
        return members

    def _partial(self, splice: SpliceNode) -> Members:
        if splice.name not in self.partials:
            message = f"there is no partial {quote(splice.name)}"
            self.problems.add(
                "unknown_partial",
                message,
                splice.name_span,
                word=splice.name,
                candidates=self.partials,
            )
        return self._spliced.get(splice.name, {})

    def _add(
        self,
        members: Members,
        seen: dict[str, Span],
        member: RelationNode | PermissionNode,
        span: Span,
    ) -> None:
        self._count += 1
        if self._count > MAX_MEMBERS:
            message = f"the schema has more than {MAX_MEMBERS} relations and permissions"
            self.problems.add("too_large", message, None)
        elif member.name in members:
            self._declare(seen, member.name, span)
        else:
            seen[member.name] = span
            members[member.name] = member

    def caveat(self, node: CaveatNode) -> Caveat:
        """The caveat that `node` declares."""
        seen: dict[str, Span] = {}
        parameters = {
            name: kind for name, kind, span in node.parameters if self._declare(seen, name, span)
        }
        return Caveat(
            node.name,
            MappingProxyType(parameters),
            node.expression,
            node.doc,
            node.name_span,
            node.expression_span,
        )


def _object_type(node: DefinitionNode, members: Members) -> ObjectType:
    relations: dict[str, Relation] = {}
    permissions: dict[str, Permission] = {}
    for name, member in members.items():
        if isinstance(member, RelationNode):
            relations[name] = Relation(
                name, tuple(member.subject_types), doc=member.doc, span=member.name_span
            )
        else:
            permissions[name] = Permission(
                name, member.rewrite, member.annotation, member.doc, member.name_span
            )
    return ObjectType(
        node.name,
        MappingProxyType(relations),
        MappingProxyType(permissions),
        node.doc,
        node.name_span,
    )
