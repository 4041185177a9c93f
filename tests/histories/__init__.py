"""Histories: many writers and checkers at once, held against what their revisions allow."""

import pytest

pytest.register_assert_rewrite("tests.histories.nodes")
