"""How names and ids become keys: short, and in the order of the bytes of the ids.

LMDB takes keys and sorted values of at most 511 bytes. Types and relations are numbered; a long id
is cut, followed by a digest of the whole, and its text is kept aside. Ids longer than the cut sort
behind the one that ends there, and among themselves must be put in order by whoever reads them.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from engine.plan import Plan
from engine.tuples import RelationTuple

LONGEST = 440
"""Bytes of the longest id that is kept as it is."""
DIGEST = 32

USERSET = 0x8000
CONDITIONAL = 0x4000
MOST_FORMS = 0x4000
MOST_RELATIONS = 0x10000
_PLANS = 4_096

_CODE = struct.Struct(">H")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class TooManyNamesError(Exception):
    """The store has more relations or forms of subjects than the index can number."""


def packed(text: str) -> bytes:
    """An id as it stands in keys and values."""
    raw = text.encode()
    return raw if len(raw) <= LONGEST else raw[:LONGEST] + digest_of(raw)


def is_cut(raw: bytes) -> bool:
    """Whether the text of a packed id is kept aside, under the digest that ends it."""
    return len(raw) > LONGEST


def digest_of(raw: bytes) -> bytes:
    """What stands for bytes that are too long to be a key."""
    return hashlib.blake2b(raw, digest_size=DIGEST).digest()


def code_of(number: int) -> bytes:
    """A number as two bytes that sort like it."""
    return _CODE.pack(number)


def micros_of(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(micros: int) -> datetime:
    """The aware datetime of `micros_of`."""
    return _EPOCH + micros * _MICROSECOND


class Condition(NamedTuple):
    """What a tuple depends on: its caveat, the context stored with it, and its expiry."""

    caveat: str
    context: str
    expires_at: datetime | None


def pack_condition(condition: Condition) -> bytes:
    """A condition as bytes."""
    caveat, context, expires_at = condition
    micros = None if expires_at is None else micros_of(expires_at)
    return msgspec.msgpack.encode((caveat, context, micros))


def unpack_condition(raw: bytes) -> Condition:
    """The condition of `pack_condition`."""
    caveat, context, micros = msgspec.msgpack.decode(raw)
    return Condition(caveat, context, None if micros is None else moment_of(micros))


class Form(NamedTuple):
    """A form of subjects: a type, and a relation or ""."""

    type: str
    relation: str


class Access(NamedTuple):
    """Where the tuples of one relation and one form of subject lie: the code of the relation, and
    those of the plain and the conditional form, None where there was never such a tuple."""

    relation: bytes
    plain: bytes | None
    conditional: bytes | None

    @property
    def form(self) -> bytes:
        """The code of the plain form, whether there was ever such a tuple or not."""
        return plain_of(self.plain or self.conditional or b"")


class Places(NamedTuple):
    """Where the tuples lie that a plan's probes and scans ask for; `wildcard` says that a probe is
    for the wildcard's, and `only_usersets` that a scan is for those."""

    probes: list[tuple[Access | None, bool]]
    scans: list[tuple[bytes | None, bool]]


class Names:
    """The numbers of relations and forms, and which of them were ever stored together.

    Numbers are given in the order of first use and never again. Readers keep a copy; `version`
    tells whether it is current.
    """

    def __init__(
        self,
        relations: Iterable[tuple[str, str]] = (),
        forms: Iterable[Form] = (),
        seen: Iterable[tuple[int, int]] = (),
    ) -> None:
        self.relations = {name: number for number, name in enumerate(relations)}
        self.forms = {form: number for number, form in enumerate(forms)}
        self.seen = set(seen)
        self._access: dict[tuple[str, str, str, str], Access | None] = {}
        self._places: dict[Plan, Places] = {}
        self.relation_of = {code_of(number): name for name, number in self.relations.items()}
        self.form_of: dict[bytes, Form] = {}
        for form, number in self.forms.items():
            self._decode(form, number)

    @property
    def version(self) -> int:
        """It grows with everything that is added."""
        return len(self.relations) + len(self.forms) + len(self.seen)

    def access(self, object_type: str, relation: str, type_: str, name: str) -> Access | None:
        """Where to look for `object_type#relation@type_#name`; None if there was never any."""
        key = object_type, relation, type_, name
        try:
            return self._access[key]
        except KeyError:
            found = self._access[key] = self._find(key)
            return found

    def _find(self, key: tuple[str, str, str, str]) -> Access | None:
        relation = self.relations.get(key[:2])
        form = self.forms.get(Form(*key[2:]))
        if relation is None or form is None:
            return None
        plain = form | (USERSET if key[3] else 0)
        codes = [
            code_of(code) if (relation, code) in self.seen else None
            for code in (plain, plain | CONDITIONAL)
        ]
        return Access(code_of(relation), *codes) if codes != [None, None] else None

    def access_by(self, relation: bytes, type_: str, name: str) -> Access | None:
        """As `access`, for the relation of a code."""
        return self.access(*self.relation_of[relation], type_, name)

    def places(self, plan: Plan) -> Places:
        """Where a plan's tuples lie."""
        places = self._places.get(plan)
        if places is None:
            if len(self._places) >= _PLANS:
                self._places.clear()
            places = self._places[plan] = self._find_places(plan)
        return places

    def _find_places(self, plan: Plan) -> Places:
        kind, form, program = plan.object_type, plan.form, plan.program
        probes = [
            (self.access(kind, relation, *form), wildcard) for relation, wildcard in program.probes
        ]
        scans = [
            (self._scanned(kind, relation, only_usersets), only_usersets)
            for relation, only_usersets in program.scans
        ]
        return Places(probes, scans)

    def _scanned(self, object_type: str, relation: str, only_usersets: bool) -> bytes | None:
        """The code of a relation, None if it never had such a tuple."""
        number = self.relations.get((object_type, relation))
        if number is None or (
            only_usersets and not any(one == number and form & USERSET for one, form in self.seen)
        ):
            return None
        return code_of(number)

    def relation_code(self, object_type: str, relation: str) -> bytes | None:
        """The code of a relation, None if nothing was ever stored under it."""
        number = self.relations.get((object_type, relation))
        return None if number is None else code_of(number)

    def number(self, item: RelationTuple) -> tuple[bytes, int]:
        """The code of the tuple's relation and the number of its form, both given if need be.

        Raises TooManyNamesError.
        """
        object_, relation, subject = item.identity
        known = self.relations.setdefault((object_.type, relation), len(self.relations))
        form = Form(subject.type, subject.relation)
        number = self.forms.get(form)
        if number is None:
            number = self.forms[form] = len(self.forms)
            self._decode(form, number)
        if known >= MOST_RELATIONS or number >= MOST_FORMS:
            raise TooManyNamesError
        self.relation_of[code_of(known)] = (object_.type, relation)
        conditional = bool(item.caveat) or item.expires_at is not None
        plain = number | (USERSET if subject.relation else 0)
        pair = known, plain | (CONDITIONAL if conditional else 0)
        if pair not in self.seen:
            self.seen.add(pair)
            self._access.clear()
            self._places.clear()
        return code_of(known), plain

    def _decode(self, form: Form, number: int) -> None:
        plain = number | (USERSET if form.relation else 0)
        self.form_of[code_of(plain)] = form
        self.form_of[code_of(plain | CONDITIONAL)] = form

    def dump(self) -> bytes:
        """All of it as bytes."""
        return msgspec.msgpack.encode(
            (list(self.relations), [tuple(form) for form in self.forms], sorted(self.seen))
        )

    @classmethod
    def load(cls, raw: bytes) -> Names:
        """The names of `dump`."""
        relations, forms, seen = msgspec.msgpack.decode(raw)
        return cls(
            [(type_, name) for type_, name in relations],
            [Form(*form) for form in forms],
            [(relation, form) for relation, form in seen],
        )


def is_conditional(code: bytes) -> bool:
    """Whether tuples of this form have a caveat or an expiry."""
    return bool(code[0] & 0x40)


def plain_of(code: bytes) -> bytes:
    """The code of the same form without caveat and expiry."""
    return bytes((code[0] & 0xBF, code[1]))


def conditional_of(code: bytes) -> bytes:
    """The code of the same form with a caveat or an expiry."""
    return bytes((code[0] | 0x40, code[1]))
