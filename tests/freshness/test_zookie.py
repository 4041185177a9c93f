"""Zookies say exactly what was put in, and any other text is refused."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import zookie
from engine.errors import InvalidZookie
from engine.store.protocol import Snapshot

WHEN = datetime(2030, 1, 1, tzinfo=UTC)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

store_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
snapshots = st.builds(
    Snapshot,
    store_ids,
    st.integers(0, zookie.MAX_REVISION),
    st.integers(0, 2**64 - 1),
    st.just(0),
    st.just(WHEN),
)


@given(snapshots)
def test_decode_is_the_inverse_of_encode(snapshot: Snapshot) -> None:
    assert zookie.decode(zookie.encode(snapshot)) == snapshot[:3]


@given(snapshots)
def test_a_zookie_is_safe_in_urls_headers_and_columns(snapshot: Snapshot) -> None:
    text = zookie.encode(snapshot)
    assert len(text) == 50
    assert set(text) <= set(ALPHABET)


@given(snapshots, st.integers(0, 49), st.sampled_from(ALPHABET))
def test_one_changed_character_is_noticed(snapshot: Snapshot, at: int, char: str) -> None:
    text = zookie.encode(snapshot)
    changed = text[:at] + char + text[at + 1 :]
    if changed != text:
        with pytest.raises(InvalidZookie):
            zookie.decode(changed)


@given(snapshots, st.integers(0, 48))
def test_two_swapped_characters_are_noticed(snapshot: Snapshot, at: int) -> None:
    text = zookie.encode(snapshot)
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if swapped != text:
        with pytest.raises(InvalidZookie):
            zookie.decode(swapped)


@given(st.text() | st.text(ALPHABET, min_size=48, max_size=52) | st.text(st.characters()))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidZookie) as refused:
        zookie.decode(text, "consistency.at_least_as_fresh")
    assert refused.value.field == "consistency.at_least_as_fresh"


@pytest.mark.parametrize("text", ["", "=", "\ud800", "\x00", "A" * 50, "A" * 10_000_000, "é" * 50])
def test_refused_at_once(text: str) -> None:
    with pytest.raises(InvalidZookie):
        zookie.decode(text)


def test_padding_white_space_and_a_revision_beyond_storage_are_refused() -> None:
    good = zookie.encode(Snapshot("0" * 32, 1, 2, 0, WHEN))
    beyond = zookie.encode(Snapshot("0" * 32, zookie.MAX_REVISION + 1, 2, 0, WHEN))
    for text in (good + "=", good + "==", good + "\n", " " + good, beyond):
        with pytest.raises(InvalidZookie):
            zookie.decode(text)
