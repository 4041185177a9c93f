"""Where answers differ from OpenFGA's published ones on purpose: the question, and the reason.

A difference that is not there any more fails the test, too. `docs/openfga.md` tells the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

NO_DEPTH = "there is no depth at which an answer turns into an error"
DECIDED = "a condition that misses context spoils a list only where it could change the list"

_DEEP = {"0/check/0": NO_DEPTH, "0/users/1": NO_DEPTH}
_WALKED = {"0/users/7": DECIDED, "0/users/8": DECIDED}
_LISTED = {"0/has_user/2": DECIDED}

EXPECTED: Mapping[str, Mapping[str, str]] = {
    "consolidated_1_1_tests/resolution_too_complex_throws_error": _DEEP,
    "consolidated_1_1_tests/resolution_too_complex_throws_error/contextual": _DEEP,
    "abac_tests/relation_through_ttu_with_condition": _WALKED,
    "abac_tests/relation_through_ttu_with_condition/contextual": _WALKED,
    "check_matrix/complexity4_ttu_and_nested_complex3": _LISTED,
    "check_matrix/complexity4_ttu_and_nested_complex3/contextual": _LISTED,
}
