"""Known bypasses told in prose, about answers: contexts, contextual tuples, keys, batches."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from engine.decision import ALLOWED
from engine.engine import Engine
from engine.errors import InvalidTuple
from engine.requests import AtExactSnapshot, Check, WriteRequest
from engine.tuples import parse_object, parse_subject, parse_tuple
from tests.conformance.systems import System, Tenant, touches


def ask(goal: str, context: dict[str, Any] | None = None, *laid: str) -> Check:
    """A check of `object#relation@subject` with contextual tuples."""
    item = parse_tuple(goal)
    contextual = [parse_tuple(text) for text in laid]
    return Check(item.object, item.relation, item.subject, context or {}, contextual)


async def store_with(system: System, schema: str, *tuples: str) -> tuple[Tenant, str]:
    """A store with this schema and these tuples, and the zookie."""
    tenant = await system.tenant()
    zookie = await tenant.put_schema(schema)
    if tuples:
        zookie = await tenant.write(touches([parse_tuple(text) for text in tuples]))
    return tenant, zookie


async def verdicts(tenant: Tenant, checks: Sequence[Check], zookie: str) -> list[str]:
    """The verdicts of checks asked alone, which must be those of one batch in any order."""
    alone = [(await tenant.check(check, zookie)).verdict for check in checks]
    together = [outcome.verdict for outcome in await tenant.batch(checks, zookie)]
    backwards = [outcome.verdict for outcome in await tenant.batch(checks[::-1], zookie)]
    assert alone == together == backwards[::-1]
    return alone


LIMITED = """
caveat lt(limit int, x int) { x < limit }
definition user {}
definition doc { relation viewer: user with lt }
"""


async def test_the_context_of_a_contextual_tuple_is_part_of_the_question_c10(
    system: System,
) -> None:
    tenant, zookie = await store_with(system, LIMITED)
    wide = ask("doc:1#viewer@user:u", {"x": 5}, 'doc:1#viewer@user:u[lt:{"limit":10}]')
    tight = ask("doc:1#viewer@user:u", {"x": 5}, 'doc:1#viewer@user:u[lt:{"limit":1}]')
    open_ = ask("doc:1#viewer@user:u", {}, 'doc:1#viewer@user:u[lt:{"limit":1}]')
    checks = [wide, tight, open_, tight, wide]
    expected = ["allowed", "denied", "conditional", "denied", "allowed"]
    assert await verdicts(tenant, checks, zookie) == expected


NESTED = """
definition user {}
definition group { relation member: user | group#member }
definition folder { relation viewer: group#member }
definition doc {
  relation parent: folder
  permission view = parent->viewer
}
"""


async def test_contextual_tuples_reach_every_sub_question_in_any_order_c11(system: System) -> None:
    tenant, zookie = await store_with(system, NESTED)
    chain = [
        "doc:1#parent@folder:f",
        "folder:f#viewer@group:a#member",
        "group:a#member@group:b#member",
        "group:b#member@user:u",
    ]
    goal = "doc:1#view@user:u"
    asked = [ask(goal, {}, *order) for order in itertools.permutations(chain)]
    missing = [ask(goal), *(ask(goal, {}, *(c for c in chain if c != each)) for each in chain)]
    checks = [*asked, *missing, *asked[:2]]
    expected = ["allowed"] * 24 + ["denied"] * 5 + ["allowed"] * 2
    assert await verdicts(tenant, checks, zookie) == expected


async def test_delimiters_in_ids_never_make_two_keys_one_c13(system: System) -> None:
    tenant, zookie = await store_with(
        system,
        "definition user {}\ndefinition group { relation member: user }\n"
        "definition doc { relation a: user | group#member\n relation ab: user | group#member }\n",
    )
    ids = ["1", "1/a", "1|a", "1:a", "a:b", "a", "ab", "a=b", "a+b", "a-b", "a_b", "a.b", "a@b"]
    rng = random.Random(13)
    pairs = [(on, who) for on in ids for who in ids]
    stored = set(rng.sample(pairs, 40))
    tuples = [parse_tuple(f"doc:{on}#{name}@user:{who}") for on, who in stored for name in ("a",)]
    zookie = await tenant.write(touches(tuples))
    checks = [ask(f"doc:{on}#a@user:{who}") for on, who in pairs]
    expected = ["allowed" if pair in stored else "denied" for pair in pairs]
    assert await verdicts(tenant, checks, zookie) == expected
    others = [ask(f"doc:{on}#ab@user:{who}") for on, who in pairs]
    assert set(await verdicts(tenant, others, zookie)) == {"denied"}


@pytest.mark.parametrize("id_", ["", "a#b", "a b", "a\tb", "a\nb", "a\0b", "a\x7fb", "a\u2028b"])
def test_ids_that_could_end_a_key_are_refused_c13(id_: str) -> None:
    with pytest.raises(InvalidTuple):
        parse_object(f"doc:{id_}")
    with pytest.raises(InvalidTuple):
        parse_subject(f"user:{id_}#member#more")


NETWORK = """
caveat inside(ip ipaddress, cidr string) { ip.in_cidr(cidr) }
definition user {}
definition doc {
  relation banned: user with inside
  relation viewer: user
  permission view = viewer - banned
}
"""


async def test_no_way_to_write_an_address_walks_around_a_ban_c14(system: System) -> None:
    tenant, zookie = await store_with(
        system,
        NETWORK,
        "doc:1#viewer@user:u",
        'doc:1#banned@user:u[inside:{"cidr":"10.0.0.0/8"}]',
    )
    goal = "doc:1#view@user:u"
    banned = ["10.1.2.3", "::ffff:10.1.2.3", "::FFFF:0a01:0203", "0:0:0:0:0:ffff:10.1.2.3"]
    assert set(await verdicts(tenant, [ask(goal, {"ip": ip}) for ip in banned], zookie)) == {
        "denied"
    }
    fine = ["11.1.2.3", "::ffff:11.1.2.3", "::10.1.2.3", "2001:db8::1"]
    assert set(await verdicts(tenant, [ask(goal, {"ip": ip}) for ip in fine], zookie)) == {
        "allowed"
    }
    for ip in ["010.1.2.3", "10.1", "167838211", "0x0a.1.2.3", "fe80::1%eth0", "10.1.2.3 ", ""]:
        outcome = await tenant.check(ask(goal, {"ip": ip}), zookie)
        assert outcome.verdict == "error"
        assert outcome.detail == {"invalid_context"}
    assert (await tenant.check(ask(goal), zookie)).verdict == "conditional"


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
async def test_a_grant_through_the_last_of_many_groups_is_found_d06(
    system: System, count: int
) -> None:
    member = [f"group:g{index:03}#member@user:u" for index in range(count)]
    last = f"doc:1#viewer@group:g{count - 1:03}#member"
    decoys = [f"doc:2#viewer@group:h{index:03}#member" for index in range(count)]
    tenant, zookie = await store_with(
        system,
        "definition user {}\ndefinition group { relation member: user }\n"
        "definition doc { relation viewer: group#member }\n",
        *member,
        last,
        *decoys,
        f"group:h{count - 1:03}#member@user:v",
    )
    checks = [
        ask("doc:1#viewer@user:u"),
        ask("doc:2#viewer@user:v"),
        ask("doc:1#viewer@user:v"),
        ask("doc:2#viewer@user:u"),
    ]
    expected = ["allowed", "allowed", "denied", "denied"]
    assert await verdicts(tenant, checks, zookie) == expected


async def test_checks_with_and_without_a_reason_do_not_mix_d09(memory_engine: Engine) -> None:
    await memory_engine.create_store("reasons")
    await memory_engine.write_schema("reasons", LIMITED)
    granted = parse_tuple('doc:1#viewer@user:u[lt:{"limit":10}]')
    written = await memory_engine.write("reasons", WriteRequest(touches([granted])))
    plain = ask("doc:1#viewer@user:u", {"x": 5})
    explained = replace(plain, explain=True)
    fresh = AtExactSnapshot(written.zookie)
    asked = [plain, explained] * 20
    answers = await asyncio.gather(
        *(memory_engine.check("reasons", check, fresh) for check in asked)
    )
    assert {answer.decision for answer in answers} == {ALLOWED}
    assert [answer.explanation is not None for answer in answers] == [False, True] * 20
