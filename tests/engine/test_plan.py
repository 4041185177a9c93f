"""Plans stay small whatever the schema, and follow only what it allows."""

from __future__ import annotations

import pytest

from engine.plan import AnyOf, Direct, Goal, Identity, Never, Plan, Step, Walk
from engine.schemas import CompiledSchema, compile_schema
from tests.engine.ground import setting

DEPTH = 60


def doubling(operator: str) -> str:
    """A schema in which every permission mentions the one before it twice."""
    lines = [f"permission a{n} = a{n - 1} {operator} a{n - 1}" for n in range(1, DEPTH)]
    return "\n".join(
        [
            "definition user {}",
            "definition document { relation u: user\n permission a0 = u",
            *lines,
            "}",
        ]
    )


def plan(compiled: CompiledSchema, name: str, form: str = "user", kind: str = "document") -> Plan:
    """The plan of a permission for subjects of a form such as `user` or `group#member`."""
    subject_type, _, relation = form.partition("#")
    made = compiled.plans.for_subject(subject_type, relation).plan(kind, name)
    assert made is not None
    return made


def plans_under(root: Plan) -> set[Plan]:
    """Every plan that a plan leads to."""
    found, todo = {root}, [root]
    while todo:
        for step in steps(todo.pop().program.step):
            more = {step.plan} if isinstance(step, Goal) else set()
            if isinstance(step, Walk):
                more = {to for _, to in step.targets.values() if to is not None}
            if isinstance(step, Direct):
                more = {to for _, to in step.usersets.values()}
            todo += more - found
            found |= more
    return found


def steps(step: Step) -> list[Step]:
    """A step and those inside it."""
    parts: list[Step] = list(getattr(step, "parts", ()))
    parts += [getattr(step, name) for name in ("base", "subtracted") if hasattr(step, name)]
    return [step, *(inner for part in parts for inner in steps(part))]


@pytest.mark.parametrize("operator", ["+", "&", "-"])
async def test_doubling_permissions_compile_small_and_are_answered(operator: str) -> None:
    world = await setting(doubling(operator), ["document:1#u@user:ann"])
    top = f"document:1#a{DEPTH - 1}"
    expected = "denied" if operator == "-" else "allowed"
    assert await world.says(f"{top}@user:ann", f"{top}@user:bob", nodes=3 * DEPTH) == [
        expected,
        "denied",
    ]
    made = plans_under(plan(world.compiled, f"a{DEPTH - 1}"))
    assert sum(len(steps(one.program.step)) for one in made) < 100 * DEPTH


async def test_mutually_recursive_permissions_compile_small() -> None:
    count = 30
    everything = " + ".join(f"p{n}" for n in range(count))
    permissions = "\n".join(f"permission p{n} = u{n} + {everything}" for n in range(count))
    relations = "\n".join(f"relation u{n}: user" for n in range(count))
    schema = f"definition user {{}}\ndefinition document {{\n{relations}\n{permissions}\n}}"
    world = await setting(schema, ["document:1#u17@user:ann"])
    asked = [f"document:1#p{n}@user:{who}" for n in range(count) for who in ("ann", "bob")]
    assert await world.says(*asked, nodes=100) == ["allowed", "denied"] * count
    assert all(
        len(steps(one.program.step)) < 150 for one in plans_under(plan(world.compiled, "p0"))
    )


async def test_a_long_row_of_names_needs_no_stack() -> None:
    row = "\n".join(f"permission p{n} = p{n + 1}" for n in range(2000))
    schema = (
        f"definition user {{}}\ndefinition document {{\n{row}\npermission p2000 = u\n"
        "relation u: user }"
    )
    world = await setting(schema, ["document:1#u@user:ann"])
    assert await world.says("document:1#p0@user:ann", "document:1#p0@user:bob") == [
        "allowed",
        "denied",
    ]


SCHEMA = """
use self
use expiration
caveat c(x int) { x == 1 }
definition user {}
definition robot {}
definition group { relation member: user | group#member }
definition document {
  relation viewer: user | user with c | user with expiration | user:* | group#member
  relation runner: robot
  relation home: group | robot
  permission act = self
  permission alias = viewer
  permission away = home->member
}
"""


def test_a_form_that_cannot_be_a_member_has_no_plan() -> None:
    plans = compile_schema(SCHEMA).plans
    for_user, for_robot = plans.for_subject("user", ""), plans.for_subject("robot", "")
    assert for_user.plan("document", "runner") is None
    assert for_robot.plan("document", "viewer") is None
    assert for_robot.plan("document", "runner") is not None
    assert for_user.plan("document", "nothing") is None
    assert for_user.plan("nothing", "viewer") is None


def test_plans_are_made_once() -> None:
    compiled = compile_schema(SCHEMA)
    assert plan(compiled, "viewer") is plan(compiled, "viewer")
    assert plan(compiled, "viewer") is not plan(compiled, "viewer", "group#member")
    assert plan(compiled, "viewer").program is plan(compiled, "viewer").program


def test_a_relation_allows_each_form_for_itself() -> None:
    program = plan(compile_schema(SCHEMA), "viewer").program
    assert isinstance(program.step, Direct)
    assert program.probes == [("viewer", False), ("viewer", True)]
    assert program.scans == [("viewer", True)]
    assert program.step.exact == (0, frozenset({("", False), ("c", False), ("", True)}))
    assert program.step.wildcard == (1, frozenset({("", False)}))
    assert set(program.step.usersets) == {("group", "member")}


def test_a_userset_is_found_by_the_scan_that_follows_usersets() -> None:
    program = plan(compile_schema(SCHEMA), "viewer", "group#member").program
    assert program.probes == []
    assert isinstance(program.step, Direct)
    assert (program.step.exact, program.step.wildcard) == (None, None)


def test_an_alias_reads_once_and_is_a_member_of_itself() -> None:
    compiled = compile_schema(SCHEMA)
    assert isinstance(plan(compiled, "alias").program.step, Direct)
    itself = plan(compiled, "alias", "document#alias").program.step
    assert isinstance(itself, Identity)
    inner = plan(compiled, "alias", "document#viewer").program.step
    assert isinstance(inner, Identity)


def test_self_is_for_the_object_alone() -> None:
    compiled = compile_schema(SCHEMA)
    assert isinstance(plan(compiled, "act", "document").program.step, Identity)
    assert compiled.plans.for_subject("user", "").plan("document", "act") is None


def test_an_arrow_asks_only_types_that_lead_on() -> None:
    step = plan(compile_schema(SCHEMA), "away").program.step
    assert isinstance(step, Walk)
    asked = {kind: to is not None for kind, (_, to) in step.targets.items()}
    assert asked == {("group", ""): True, ("robot", ""): False}


def test_what_never_grants_is_left_out() -> None:
    compiled = compile_schema(
        """
        definition user {}
        definition robot {}
        definition document {
          relation viewer: user
          relation runner: robot
          permission some = viewer + runner + nil
          permission both = viewer & runner
          permission less = viewer - runner
        }
        """
    )
    for name in ("some", "less"):
        program = plan(compiled, name).program
        assert isinstance(program.step, Direct)
        assert program.probes == [("viewer", False)]
    assert compiled.plans.for_subject("user", "").plan("document", "both") is None or isinstance(
        plan(compiled, "both").program.step, Never
    )


def test_a_circle_of_names_ends() -> None:
    compiled = compile_schema(
        """
        definition user {}
        definition document {
          relation viewer: user
          permission a = viewer + b
          permission b = a + viewer
        }
        """
    )
    step = plan(compiled, "a").program.step
    assert isinstance(step, AnyOf)
    assert sum(isinstance(one, Goal) for one in steps(step)) == 1
