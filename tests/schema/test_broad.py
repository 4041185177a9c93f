"""Broad schemas, whose arrows and types multiply, are read in about the size of their text.

With quadratic work these would take minutes, or all memory, which a test run notices by itself.
"""

import pytest

from schema import SchemaTypeError, SubjectReach, lint_schema, parse_schema

_COUNT = 3000
_TYPES = "".join(f"definition t{i} {{ relation r: t{i} }}\n" for i in range(_COUNT))
_ALL = "|".join(f"t{i}" for i in range(_COUNT))


def test_many_arrows_over_one_broad_relation() -> None:
    arrows = "".join(f"permission p{i} = a->r->r\n" for i in range(_COUNT))
    text = f"{_TYPES} definition d {{ relation a: {_ALL} {arrows} }}"
    reach = SubjectReach(parse_schema(text))
    assert reach.reaches("d", "p7", "t9")
    assert reach._needs.number_of_edges() < 10 * _COUNT
    assert len(lint_schema(text)) == 1000


def test_many_names_that_are_not_there() -> None:
    wrong = "".join(f"permission p{i} = viewer{i}\n" for i in range(10 * _COUNT))
    with pytest.raises(SchemaTypeError) as refused:
        parse_schema(f"definition d {{ {wrong} }}")
    assert refused.value.problems[-1].message == f"{10 * _COUNT - 100} more problems are not shown"
