"""Every assertion of SpiceDB's validation files, explained: the same answer, and a right proof."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from engine.decision import Decision
from engine.engine import Engine
from engine.requests import AtExactSnapshot
from engine.verify import verify
from schema import parse_schema
from tests.conformance.data import cases
from tests.conformance.systems import System, touches
from tests.conformance.validation_files import ValidationFile, every_file


@pytest.mark.parametrize("file", cases(every_file, lambda file: file.name))
async def test_every_assertion_is_explained(engine: Engine, file: ValidationFile) -> None:
    tenant = await System(engine).tenant()
    await tenant.put_schema(file.schema)
    zookie = await tenant.write(touches(file.tuples))
    schema = parse_schema(file.schema)
    wrong = []
    for assertion in file.assertions:
        plain = await tenant.check(assertion.check, zookie)
        answer = await engine.check(
            tenant.name, replace(assertion.check, explain=True), AtExactSnapshot(zookie)
        )
        assert isinstance(answer.decision, Decision)
        proof = json.loads(json.dumps(answer.explanation))
        problems = verify(proof, schema, file.tuples)
        assert set(re.findall(r'"revision": (\d+)', json.dumps(proof))) == {"2"}
        if problems or not proof["decision"] == answer.decision.verdict == plain.verdict:
            wrong.append((assertion.text, plain.verdict, proof["decision"], problems))
    assert wrong == []
