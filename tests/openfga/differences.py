"""Where answers differ from OpenFGA's published ones on purpose: the question, and the reason.

A difference that is not there any more fails the test, too. `docs/openfga.md` tells the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

EXPECTED: Mapping[str, Mapping[str, str]] = {}
