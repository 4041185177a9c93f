"""The userset rewrite algebra: every schema language lowers to these eight nodes and nothing else.

Source: Zanzibar paper §2.3.1 (`_this`, `computed_userset`, `tuple_to_userset`, union,
intersection, exclusion); `Nil` and `Self` from SpiceDB's language. The set of nodes is closed:
code that asks a question of a rewrite is one `match` that ends in `assert_never`.

`span` says where a node stood in the source text, for error messages; it is no part of its value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from schema.source import Span


class ArrowMode(StrEnum):
    """How an arrow combines the objects it walks to."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class This:
    """The subjects of the relation's own stored tuples (`_this`)."""

    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Computed:
    """The subjects of another relation or permission of the same object (`computed_userset`)."""

    relation: str
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Arrow:
    """Walks `relation` to other objects and asks `target` of each (`tuple_to_userset`).

    The walk goes to the *object* of each stored subject and ignores its subject relation. With
    `ANY` one object that grants is enough; with `ALL` every object must grant and there must be
    at least one. A nested arrow `a->b->c` is `Arrow("a", ANY, Arrow("b", ANY, Computed("c")))`.
    """

    relation: str
    mode: ArrowMode
    target: Computed | Arrow
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Union:
    """Subjects of at least one child; two children or more."""

    children: tuple[Rewrite, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Intersection:
    """Subjects of every child; two children or more."""

    children: tuple[Rewrite, ...]
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Subjects of `base` that are not subjects of `subtracted`."""

    base: Rewrite
    subtracted: Rewrite
    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Nil:
    """No subjects."""

    span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Self:
    """The object itself, as a subject without a subject relation."""

    span: Span | None = field(default=None, compare=False, repr=False)


Rewrite = This | Computed | Arrow | Union | Intersection | Exclusion | Nil | Self
