"""How OpenFGA writes objects, relations and users, as pure predicates.

The server's are those of `pkg/tuple/tuple.go` of openfga/openfga. OpenFGA's own tools
(`validate-rules.ts` of openfga/language) take fewer object ids.
"""

from __future__ import annotations

import re
import unicodedata

WILDCARD = "*"
_TOOL_ID = re.compile(r"(?![#:\s*])[a-zA-Z0-9_|*@.+/-]+")


def is_object(text: str) -> bool:
    """Whether this is `type:id`: one colon, with something on both sides, and no `#`.

    The id may be `*`: whether a wildcard may stand there is another question.
    """
    type_name, colon, id_ = text.partition(":")
    return bool(colon and type_name and id_ and ":" not in id_) and _is_clean(text, "#")


def is_relation(text: str) -> bool:
    """Whether this can be the name of a relation."""
    return bool(text) and _is_clean(text, "#:@")


def is_userset(text: str) -> bool:
    """Whether this is `type:id#relation`; the id may not begin with `*`."""
    object_, sharp, relation = text.partition("#")
    return (
        bool(sharp)
        and is_object(object_)
        and is_relation(relation)
        and not object_.partition(":")[2].startswith(WILDCARD)
    )


def is_typed_wildcard(text: str) -> bool:
    """Whether this is `type:*`."""
    return is_object(text) and text.partition(":")[2] == WILDCARD


def is_user(text: str) -> bool:
    """Whether this is an object, a typed wildcard or a userset."""
    return is_object(text) or is_userset(text)


def is_tool_object_id(text: str) -> bool:
    """Whether OpenFGA's own tools take this as the id of an object."""
    return _TOOL_ID.fullmatch(text) is not None


def _is_clean(text: str, forbidden: str) -> bool:
    """No space, no control character and none of these."""
    return not any(
        char in forbidden or char.isspace() or unicodedata.category(char) == "Cc" for char in text
    )
