"""The scenario of the search interoperability: answers hold the results and nothing else."""

from __future__ import annotations

import itertools
import random
from typing import Any, NamedTuple

from tests.authzen.pdp import entity, on_memory

Json = dict[str, Any]
SCHEMA = """definition user {}

definition role {
  relation member: user
}

definition department {
  relation member: user
  relation manager: user
}

definition record {
  relation owner: user
  relation department: department
  relation all_managers: role
  permission view = owner + department->member + all_managers->member
  permission edit = owner + department->manager
  permission delete = owner
}
"""


class Person(NamedTuple):
    """Someone in a department."""

    name: str
    department: str
    manages: bool


class Record(NamedTuple):
    """A record of a department, owned by someone."""

    name: str
    department: str
    owner: str


PEOPLE = [
    Person("alice", "sales", manages=True),
    Person("bob", "sales", manages=False),
    Person("carol", "legal", manages=True),
    Person("dan", "legal", manages=False),
    Person("erin", "finance", manages=True),
    Person("felix", "finance", manages=False),
]
_chance = random.Random(20)
RECORDS = [
    Record(f"10{n}", _chance.choice(PEOPLE).department, _chance.choice(PEOPLE).name)
    for n in range(20)
]
ACTIONS = ("delete", "edit", "view")


def permitted(person: Person, action: str, record: Record) -> bool:
    """The scenario's policy, in its own words."""
    owns = record.owner == person.name
    same = record.department == person.department
    if action == "view":
        return owns or same or person.manages
    return owns or (action == "edit" and same and person.manages)


def tuples() -> list[str]:
    made = []
    for person in PEOPLE:
        made.append(f"department:{person.department}#member@user:{person.name}")
        if person.manages:
            made.append(f"department:{person.department}#manager@user:{person.name}")
            made.append(f"role:manager#member@user:{person.name}")
    for record in RECORDS:
        made.append(f"record:{record.name}#owner@user:{record.owner}")
        made.append(f"record:{record.name}#department@department:{record.department}")
        made.append(f"record:{record.name}#all_managers@role:manager")
    return made


async def test_every_search_lists_exactly_what_the_policy_permits() -> None:
    async with on_memory(SCHEMA, tuples()) as pdp:
        for record, action in itertools.product(RECORDS, ACTIONS):
            asked = {
                "subject": {"type": "user"},
                "action": {"name": action},
                "resource": entity("record", record.name),
            }
            users = [{"type": "user", "id": p.name} for p in PEOPLE if permitted(p, action, record)]
            assert await pdp.ask("/access/v1/search/subject", asked) == {"results": users}
        for person, action in itertools.product(PEOPLE, ACTIONS):
            asked = {
                "subject": entity("user", person.name),
                "action": {"name": action},
                "resource": {"type": "record"},
            }
            ids = sorted(r.name for r in RECORDS if permitted(person, action, r))
            found = [{"type": "record", "id": id_} for id_ in ids]
            assert await pdp.ask("/access/v1/search/resource", asked) == {"results": found}
        for person, record in itertools.product(PEOPLE, RECORDS):
            asked = {
                "subject": entity("user", person.name),
                "resource": entity("record", record.name),
            }
            names = [{"name": each} for each in ACTIONS if permitted(person, each, record)]
            assert await pdp.ask("/access/v1/search/action", asked) == {"results": names}
