"""What is kept between pages is bounded, and the longest unused goes first."""

from __future__ import annotations

from datetime import UTC, datetime

from engine.kept import Kept, Key


def key(name: str) -> Key:
    return (name, 1, 1, datetime(2030, 1, 1, tzinfo=UTC), b"")


def held(kept: Kept[str], names: str) -> str:
    return "".join(name for name in names if kept.use(key(name)) is not None)


def test_the_longest_unused_goes_first() -> None:
    kept: Kept[str] = Kept(10)
    for name in "abc":
        kept.keep(key(name), name, 3)
    assert kept.use(key("a")) == "a"
    kept.keep(key("d"), "d", 3)
    assert held(kept, "abcd") == "acd"


def test_what_is_replaced_gives_its_room_back() -> None:
    kept: Kept[str] = Kept(10)
    kept.keep(key("a"), "one", 6)
    kept.keep(key("b"), "b", 4)
    kept.keep(key("a"), "two", 3)
    kept.keep(key("c"), "c", 3)
    assert held(kept, "abc") == "abc"
    assert kept.use(key("a")) == "two"


def test_what_is_too_large_leaves_the_others() -> None:
    kept: Kept[str] = Kept(10)
    kept.keep(key("a"), "a", 4)
    kept.keep(key("b"), "b", 4)
    kept.keep(key("b"), "larger", 11)
    assert held(kept, "ab") == "a"
