"""Cursors open for their own call and no other, and digests tell all arguments apart."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cursor import Call, Cursor, Cursors
from engine.digest import Part, digest
from engine.errors import InvalidCursor
from tests.freshness.clock import ManualClock

CALL = Call("0" * 32, "read", digest("document", None, 7))
NOW = datetime(2030, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
CURSOR = Cursor(5, 2**64 - 1, NOW, ("document", "1", "viewer", "user", "ann", ""))


class Secrets:
    """Secrets in memory, as storage keeps them; counts how often it is asked."""

    def __init__(self, *secrets: bytes) -> None:
        self.kept = list(secrets)
        self.asked = 0

    async def secrets(self) -> list[bytes]:
        self.asked += 1
        return list(self.kept)


text = st.text(st.characters(exclude_categories=["Cs"]))
cursors = st.builds(
    Cursor,
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.datetimes(timezones=st.just(UTC)),
    st.lists(text, max_size=8).map(tuple),
)
parts: st.SearchStrategy[Part] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(cursors)
async def test_open_is_the_inverse_of_seal(cursor: Cursor) -> None:
    sealing = Cursors(Secrets(b"a" * 32))
    assert await sealing.open(await sealing.seal(CALL, cursor), CALL) == cursor


@given(st.text() | st.text("ABCDabcd0189-_", min_size=40))
async def test_any_other_text_is_refused(other: str) -> None:
    with pytest.raises(InvalidCursor):
        await Cursors(Secrets(b"a" * 32)).open(other, CALL)


@given(st.data())
async def test_one_changed_character_is_refused(data: st.DataObject) -> None:
    sealing = Cursors(Secrets(b"a" * 32))
    sealed = await sealing.seal(CALL, CURSOR)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + data.draw(st.sampled_from("Aa0-_Zz9")) + sealed[at + 1 :]
    if changed != sealed:
        with pytest.raises(InvalidCursor):
            await sealing.open(changed, CALL)


@pytest.mark.parametrize(
    "other",
    [
        CALL._replace(store_id="1" * 32),
        CALL._replace(name="export"),
        CALL._replace(arguments=digest("document", None, "7")),
        # The same bytes, cut elsewhere.
        CALL._replace(store_id="0" * 31, name="0read"),
    ],
)
async def test_a_cursor_opens_for_its_own_call_only(other: Call) -> None:
    sealing = Cursors(Secrets(b"a" * 32))
    sealed = await sealing.seal(CALL, CURSOR)
    with pytest.raises(InvalidCursor) as refused:
        await sealing.open(sealed, other, "page.cursor")
    assert refused.value.field == "page.cursor"


async def test_a_list_that_is_being_read_survives_a_rotation_and_not_two() -> None:
    secrets, clock = Secrets(b"a" * 32), ManualClock()
    sealing = Cursors(secrets, refresh=60, clock=clock)
    sealed = await sealing.seal(CALL, CURSOR)
    secrets.kept = [b"b" * 32, b"a" * 32]
    clock.advance(61)
    assert await sealing.open(sealed, CALL) == CURSOR
    resealed = await sealing.seal(CALL, CURSOR)
    assert resealed != sealed
    secrets.kept = [b"c" * 32, b"b" * 32]
    clock.advance(61)
    assert await sealing.open(resealed, CALL) == CURSOR
    with pytest.raises(InvalidCursor):
        await sealing.open(sealed, CALL)


async def test_a_node_opens_what_another_sealed_after_a_rotation_it_has_not_seen() -> None:
    secrets, clock = Secrets(b"a" * 32), ManualClock()
    here = Cursors(secrets, clock=clock)
    await here.seal(CALL, CURSOR)
    secrets.kept = [b"b" * 32, b"a" * 32]
    there = await Cursors(secrets, clock=clock).seal(CALL, CURSOR)
    clock.advance(2)
    assert await here.open(there, CALL) == CURSOR


async def test_forged_cursors_do_not_make_it_ask_for_secrets_each_time() -> None:
    secrets, clock = Secrets(b"a" * 32), ManualClock()
    sealing = Cursors(secrets, clock=clock)
    forged = (await Cursors(Secrets(b"z" * 32)).seal(CALL, CURSOR), CALL)
    for _ in range(100):
        with pytest.raises(InvalidCursor):
            await sealing.open(*forged)
    assert secrets.asked == 1
    clock.advance(1.5)
    for _ in range(100):
        with pytest.raises(InvalidCursor):
            await sealing.open(*forged)
    assert secrets.asked == 2


@given(st.lists(parts, max_size=4), st.lists(parts, max_size=4))
def test_different_parts_have_different_digests(left: list[Part], right: list[Part]) -> None:
    same = _typed(left) == _typed(right)
    assert (digest(*left) == digest(*right)) == same


def test_what_python_calls_equal_and_what_concatenates_alike_still_differs() -> None:
    kinds: list[tuple[Part, ...]] = [
        (1,), (True,), ("1",), (b"1",), ([1],), ([],), (), (None,), ("",), (b"",), (0,), (False,),
        ("asb", "c"), ("a", "bsc"), ("ab", "c"),
        ("a", "bc"), ("abc",), (["a", "b"],), (["a"], "b"), ("a", "b"), ("\ud800",),
        (10**40,), (-1,),
    ]  # fmt: skip
    assert len({digest(*kind) for kind in kinds}) == len(kinds)


def _typed(part: Part) -> object:
    """A value that compares as the part does, types told apart."""
    if isinstance(part, (list, tuple)):
        return [_typed(item) for item in part]
    return (type(part), part)
