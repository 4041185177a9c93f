"""Every case of OpenFGA's language repository that is at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schema.fga.decode import parse_json_model
from schema.fga.dsl.build import read_document
from schema.fga.dsl.check import check_model
from schema.fga.dsl.print import modules_of, print_model
from schema.fga.dsl.problems import DslError, Place
from schema.fga.encode import encode_model
from schema.fga.formats import is_tool_object_id
from schema.fga.manifest import read_manifest
from schema.fga.modules import ModuleFile, combine
from tests.conformance.data import cases
from tests.fga.conformance import (
    case_name,
    cases_of,
    folders_of,
    told,
    wanted,
    without_words,
)

DIFFERENT = {
    "cycle 3 should fail": (
        "OpenFGA's own tools skip this case; the relations have entrypoints, and it is the server "
        "that refuses their cycle"
    ),
    "cycle 5 should fail": "as cycle 3",
}
"""Cases of DSL validation that are met otherwise on purpose: no problem is told."""


@pytest.mark.parametrize("case", cases(lambda: cases_of("dsl-syntax-validation-cases"), case_name))
def test_syntax(case: dict[str, Any]) -> None:
    found = without_words(told(read_document(case["dsl"]).problems))
    assert found == without_words(wanted(case.get("expected_errors")))


@pytest.mark.parametrize(
    "case", cases(lambda: cases_of("dsl-semantic-validation-cases"), case_name)
)
def test_meaning(case: dict[str, Any]) -> None:
    document = read_document(case["dsl"])
    assert document.problems == ()
    found = check_model(document.model)
    errors = case.get("expected_errors") or []
    if case["name"] in DIFFERENT:
        assert case.get("skip")
        assert found == []
        return
    assert told(found) == wanted(errors)
    for problem, error in zip(found, errors, strict=True):
        assert problem.symbol == error["metadata"].get("symbol", problem.symbol)


@pytest.mark.parametrize("case", cases(lambda: cases_of("json-validation-cases"), case_name))
def test_json_models(case: dict[str, Any]) -> None:
    found = check_model(parse_json_model(case["json"]))
    assert told(found) == wanted(case.get("expected_errors"))


@pytest.mark.parametrize(
    "case", cases(lambda: cases_of("json-syntax-transformer-validation-cases"), case_name)
)
def test_what_the_dsl_cannot_say(case: dict[str, Any]) -> None:
    model = parse_json_model(case["json"])
    if case.get("valid", True):
        assert read_document(print_model(model)).problems == ()
        return
    with pytest.raises(DslError) as caught:
        print_model(model)
    assert str(caught.value) == case["error_message"]


def _folder_name(folder: Path) -> str:
    return folder.name


def _read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")


def _is_of_modules(folder: Path) -> bool:
    return (folder / "module").is_dir()


def _has_model(folder: Path) -> bool:
    return (folder / "authorization-model.json").is_file()


@pytest.mark.parametrize("folder", cases(lambda: folders_of("transformer"), _folder_name))
def test_both_forms_say_the_same(folder: Path) -> None:
    text, model = (
        _read(folder, "authorization-model.fga"),
        _read(folder, "authorization-model.json"),
    )
    document = read_document(text)
    assert document.problems == ()
    assert check_model(document.model) == []
    assert encode_model(document.model) == json.loads(model)
    assert parse_json_model(model) == document.model
    assert print_model(parse_json_model(model)) == text


@pytest.mark.parametrize(
    "folder",
    cases(lambda: [f for f in folders_of("transformer-module") if _has_model(f)], _folder_name),
)
def test_modular_models_are_printed_module_by_module(folder: Path) -> None:
    model = parse_json_model(_read(folder, "authorization-model.json"))
    assert modules_of(model) == json.loads(_read(folder, "expected_modules.json"))
    for name, sources in (("combined.fga", False), ("combined-sourceinfo.fga", True)):
        if (folder / name).is_file():
            assert print_model(model, sources=sources) == _read(folder, name)


@pytest.mark.parametrize(
    "folder",
    cases(lambda: [f for f in folders_of("transformer-module") if _is_of_modules(f)], _folder_name),
)
def test_modules(folder: Path) -> None:
    files = [
        ModuleFile(path.name, path.read_text(encoding="utf-8"))
        for path in sorted((folder / "module").iterdir())
    ]
    if _has_model(folder):
        assert encode_model(combine(files)) == json.loads(_read(folder, "authorization-model.json"))
        return
    with pytest.raises(DslError) as caught:
        combine(files)
    errors = json.loads(_read(folder, "expected_errors.json"))
    assert without_words(told(caught.value.problems)) == without_words(wanted(errors))


@pytest.mark.parametrize("case", cases(lambda: cases_of("fga-mod-transformer-cases"), case_name))
def test_manifests(case: dict[str, Any]) -> None:
    if "json" not in case:
        with pytest.raises(DslError) as caught:
            read_manifest(case["modFile"])
        assert told(caught.value.problems) == wanted(case["expected_errors"])
        return
    manifest = read_manifest(case["modFile"])
    assert json.loads(case["json"]) == {
        "schema": {"value": manifest.schema.value, **_told_place(manifest.schema.place)},
        "contents": {
            "value": [{"value": f.value, **_told_place(f.place)} for f in manifest.contents],
            **_told_place(manifest.place),
        },
    }


def _told_place(place: Place) -> dict[str, dict[str, int]]:
    return {
        "line": {"start": place.line_start, "end": place.line_end},
        "column": {"start": place.column_start, "end": place.column_end},
    }


@pytest.mark.parametrize("case", cases(lambda: cases_of("object-id-validation-cases"), case_name))
def test_object_ids(case: dict[str, Any]) -> None:
    assert is_tool_object_id(case["object_id"]) is case["valid"]
