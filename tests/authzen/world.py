"""A store with everything that AuthZEN's answers tell apart: groups, a wildcard, conditions,
exclusions and a cycle."""

from __future__ import annotations

SCHEMA = """use expiration

definition user {}

definition group {
  relation member: user | group#member
}

caveat in_zone(zone string, wanted string) {
  zone == wanted
}

caveat active(resource_properties map<any>) {
  !has(resource_properties.status) || resource_properties.status == "active"
}

caveat softly(action_soft bool) {
  action_soft
}

definition document {
  relation owner: user
  relation viewer: user | user:* | group#member | user with in_zone
  relation banned: user | document#view
  relation editor: user with active
  relation remover: user with softly
  permission view = viewer + owner - banned
  permission edit = editor + owner
  permission remove = remover
}
"""

TUPLES = [
    "group:eng#member@user:ann",
    "group:all#member@group:eng#member",
    "document:plan#viewer@group:all#member",
    "document:plan#viewer@user:bob",
    "document:plan#owner@user:eve@example.com",
    "document:plan#banned@user:bob",
    'document:plan#viewer@user:zoe[in_zone:{"wanted":"EAT"}]',
    "document:open#viewer@user:*",
    "document:open#banned@user:bob",
    "document:open#viewer@user:ann",
    "document:draft#editor@user:ann[active]",
    "document:draft#remover@user:ann[softly]",
    "document:/docs/{id}#viewer@user:ann",
    "document:circle#viewer@user:ann",
    "document:circle#banned@document:circle#view",
]
