"""How objects, relations and users are written."""

from __future__ import annotations

import pytest

from schema.fga.formats import is_object, is_relation, is_typed_wildcard, is_user, is_userset

OBJECTS = {
    "document:1": True,
    "document:a@b|c/d*e.f": True,
    "document:*": True,
    "d:1": True,
    "document:": False,
    ":1": False,
    "document": False,
    "document:a:b": False,
    "document:a#b": False,
    "document:a b": False,
    "document:a\x00": False,
    "document:a\x7f": False,
    "": False,
}
RELATIONS = {
    "viewer": True,
    "can.share-it": True,
    "": False,
    "a:b": False,
    "a#b": False,
    "a@b": False,
}
USERSETS = {
    "group:1#member": True,
    "group:a*#member": True,
    "group:*#member": False,
    "group:1#": False,
    "group#member": False,
    "group:1#a#b": False,
    "group:1": False,
}


@pytest.mark.parametrize(("text", "right"), OBJECTS.items())
def test_objects(text: str, *, right: bool) -> None:
    assert is_object(text) is right
    assert is_user(text) is (right or is_userset(text))
    assert is_typed_wildcard(text) is (text == "document:*")


@pytest.mark.parametrize(("text", "right"), RELATIONS.items())
def test_relations(text: str, *, right: bool) -> None:
    assert is_relation(text) is right


@pytest.mark.parametrize(("text", "right"), USERSETS.items())
def test_usersets(text: str, *, right: bool) -> None:
    assert is_userset(text) is right
    assert is_user(text) is (right or text == "group:1")
