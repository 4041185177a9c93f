"""Objects, subjects and relation tuples: values, their string form, and what ids may hold.

String form: `type:id#relation@type:id[#relation]`, then the suffixes `[caveat]`,
`[caveat:{json}]` and `[expiration:RFC3339]`. The type ends at the first `:`; `#...` after a subject
means no subject relation. Ids are never normalised or case-folded: identity is bytes.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from engine.errors import InvalidTuple
from engine.jsontext import canonical_json, parse_json_object

WILDCARD = "*"
MAX_TYPE_BYTES = 254
MAX_RELATION_BYTES = 64
MAX_CAVEAT_BYTES = 256
MAX_ID_BYTES = 1024
MAX_IDENTITY_BYTES = 2500
# Characters that two ids may have together whatever the names beside them: a name is bounded in
# bytes, and a character takes four at most.
_SURELY_SHORT = (MAX_IDENTITY_BYTES - 2 * MAX_TYPE_BYTES - 2 * MAX_RELATION_BYTES) // 4

_NAME = re.compile(r"[^:#@\s\x00-\x1f\x7f]+")
_PLAIN_ID = re.compile(r"[A-Za-z0-9/_|\-=+.@:{}(),;!$&'*~%?^`<>\"\\\[\]]+")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})


class Object(NamedTuple):
    """`type:id`."""

    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.type}:{self.id}"


class Subject(NamedTuple):
    """An object (`relation` is ""), a userset `type:id#relation`, or the wildcard `type:*`."""

    type: str
    id: str
    relation: str = ""

    def __str__(self) -> str:
        suffix = f"#{self.relation}" if self.relation else ""
        return f"{self.type}:{self.id}{suffix}"


class RelationTuple(NamedTuple):
    """One stored fact: `object#relation@subject`, under a caveat and until a time if given.

    Identity is the first three fields. `context` is the caveat's stored context as canonical JSON
    text (`engine.jsontext`), "" when it is empty, so that equal contexts are equal strings.
    `expires_at` is an aware UTC datetime.
    """

    object: Object
    relation: str
    subject: Subject
    caveat: str = ""
    context: str = ""
    expires_at: datetime | None = None

    @property
    def identity(self) -> tuple[Object, str, Subject]:
        """What makes two tuples the same tuple."""
        return self[:3]

    def __str__(self) -> str:
        text = f"{self.object}#{self.relation}@{self.subject}"
        if self.caveat:
            text += f"[{self.caveat}:{self.context}]" if self.context else f"[{self.caveat}]"
        if self.expires_at is not None:
            text += f"[expiration:{format_time(self.expires_at)}]"
        return text


def format_time(moment: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC with `Z`, microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def parse_time(text: str, field: str) -> datetime:
    """RFC 3339 text as an aware UTC datetime; digits beyond microseconds are cut.

    Raises InvalidTuple naming `field`.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        fraction = (match[2] or "")[:7]
        zone = "+00:00" if match[3] in "Zz" else match[3]
        return datetime.fromisoformat(match[1].upper() + fraction + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidTuple(
            f"`{text[:64]}` is not a time",
            field=field,
            expected="RFC 3339, as in 2030-01-31T12:00:00Z",
        ) from None


def check_name(name: str, field: str, limit: int) -> str:
    """Return `name` if it may be a type, relation or caveat name; raises InvalidTuple."""
    # The limit first: what is remembered is then short.
    if len(name) > limit or not _is_name(name) or len(name.encode()) > limit:
        raise InvalidTuple(
            f"`{_shown(name)}` is not a name",
            field=field,
            expected=f"1 to {limit} bytes of printable text without `:`, `#`, `@` or whitespace",
        )
    return name


@lru_cache(maxsize=4096)
def _is_name(text: str) -> bool:
    """Whether a text could be a name. A schema has few, and every tuple bears four of them."""
    return _NAME.fullmatch(text) is not None and _printable(text)


def check_id(text: str, field: str) -> str:
    """Return `text` if it may be an object id other than the wildcard; raises InvalidTuple."""
    if text == WILDCARD:
        raise InvalidTuple(
            "`*` is only a subject", field=field, expected="the id of one object, not `*`"
        )
    return check_subject_id(text, field)


def check_subject_id(text: str, field: str) -> str:
    """Return `text` if it may be an object id or is exactly `*`; raises InvalidTuple."""
    if len(text) <= MAX_ID_BYTES and _PLAIN_ID.fullmatch(text):
        return text
    if text and "#" not in text and _printable(text) and len(text.encode()) <= MAX_ID_BYTES:
        return text
    raise InvalidTuple(
        f"`{_shown(text)}` is not an id",
        field=field,
        expected=f"1 to {MAX_ID_BYTES} bytes of printable text without whitespace or `#`",
    )


def _printable(text: str) -> bool:
    if text.isascii():
        return text.isprintable() and " " not in text
    return all(unicodedata.category(char) not in _REFUSED_CATEGORIES for char in text)


def _shown(text: str) -> str:
    """Client text made safe to show: short, and with nothing unprintable."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text[:80])
    return shown + ("…" if len(text) > 80 else "")


def parse_object(text: str, field: str = "object") -> Object:
    """`type:id` as an Object. Raises InvalidTuple."""
    kind, colon, id_ = text.partition(":")
    if not colon:
        raise InvalidTuple(f"`{_shown(text)}` is not an object", field=field, expected="`type:id`")
    return Object(check_name(kind, field, MAX_TYPE_BYTES), check_id(id_, field))


def parse_subject(text: str, field: str = "subject") -> Subject:
    """`type:id`, `type:id#relation` or `type:*` as a Subject. Raises InvalidTuple."""
    body, hash_, relation = text.partition("#")
    kind, colon, id_ = body.partition(":")
    if not colon:
        raise InvalidTuple(
            f"`{_shown(text)}` is not a subject",
            field=field,
            expected="`type:id`, `type:id#relation` or `type:*`",
        )
    if hash_ and relation != "...":
        check_name(relation, field, MAX_RELATION_BYTES)
    else:
        relation = ""
    return make_subject(kind, id_, relation, field)


def make_subject(kind: str, id_: str, relation: str, field: str) -> Subject:
    """A validated Subject from its parts; a wildcard has no relation. Raises InvalidTuple."""
    check_name(kind, field, MAX_TYPE_BYTES)
    check_subject_id(id_, field)
    if id_ == WILDCARD and relation:
        raise InvalidTuple(
            "a wildcard has no subject relation", field=field, expected=f"`{kind}:*`"
        )
    return Subject(kind, id_, relation)


def make_tuple(
    object_: Object,
    relation: str,
    subject: Subject,
    *,
    caveat: str = "",
    context: str = "",
    expires_at: datetime | None = None,
    field: str = "tuple",
) -> RelationTuple:
    """A validated RelationTuple from validated parts; checks the identity's size and the relation.

    `context` must be canonical already. Raises InvalidTuple.
    """
    check_name(relation, field, MAX_RELATION_BYTES)
    made = RelationTuple(object_, relation, subject, caveat, context, expires_at)
    if len(object_.id) + len(subject.id) <= _SURELY_SHORT:
        return made
    size = sum(len(part.encode()) for part in (*object_, relation, *subject))
    if size > MAX_IDENTITY_BYTES:
        raise InvalidTuple(
            f"the tuple's object, relation and subject take {size} bytes",
            field=field,
            expected=f"at most {MAX_IDENTITY_BYTES} bytes together",
        )
    return made


def parse_tuple(text: str, field: str = "tuple") -> RelationTuple:
    """The string form of a tuple. Raises InvalidTuple naming `field`.

    In this form ids may not hold `[` or `]`; the object form takes them.
    """
    body, bracket, suffixes = text.partition("[")
    left, at, right = _split_subject(body)
    object_text, hash_, relation = left.rpartition("#")
    if not at or not hash_ or "]" in body:
        raise InvalidTuple(
            f"`{_shown(text)}` is not a relation tuple",
            field=field,
            expected="`type:id#relation@type:id`, as in `document:readme#viewer@user:ann`",
        )
    object_ = parse_object(object_text, field)
    subject = parse_subject(right, field)
    caveat, context, expires_at = _parse_suffixes(bracket + suffixes, field)
    return make_tuple(
        object_,
        relation,
        subject,
        caveat=caveat,
        context=context,
        expires_at=expires_at,
        field=field,
    )


def _split_subject(body: str) -> tuple[str, str, str]:
    """Split at the `@` that ends the relation: the first one after the first `#`.

    An id may hold `@` (e-mails) but no `#`, and a relation holds neither.
    """
    hash_ = body.find("#")
    at = body.find("@", hash_) if hash_ >= 0 else -1
    return (body, "", "") if at < 0 else (body[:at], "@", body[at + 1 :])


def _parse_suffixes(text: str, field: str) -> tuple[str, str, datetime | None]:
    caveat, context, expires_at = "", "", None
    rest = text
    while rest:
        if rest.startswith("[expiration:") and expires_at is None:
            value, bracket, rest = rest[len("[expiration:") :].partition("]")
            expires_at = parse_time(value, field) if bracket else None
            ok = bool(bracket)
        elif rest.startswith("[") and not caveat and expires_at is None:
            end = _caveat_end(rest)
            name, colon, value = rest[1:end].partition(":")
            ok = end > 0 and (not colon or bool(value))
            caveat = check_name(name, field, MAX_CAVEAT_BYTES) if ok else ""
            context = canonical_json(parse_json_object(value, field)) if ok and colon else ""
            rest = rest[end + 1 :]
        else:
            ok = False
        if not ok:
            raise InvalidTuple(
                f"`{_shown(text)}` is not a tuple suffix",
                field=field,
                expected='`[caveat]`, `[caveat:{"name":value}]`, then `[expiration:RFC3339]`',
            )
    return caveat, context, expires_at


def _caveat_end(text: str) -> int:
    """Where the `]` stands that closes `text[0]`; JSON strings and lists inside are skipped, but
    not in the name, which may hold a quote."""
    closing, colon = text.find("]"), text.find(":")
    if colon < 0 or closing < colon:
        return closing
    depth, quoted, escaped = 1, False, False
    for index, char in enumerate(text[colon:], colon):
        if quoted:
            if escaped:
                escaped = False
            elif char == "\\":
                escaped = True
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return index
    return -1
