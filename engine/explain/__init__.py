"""Explanations of checks: `explain` retraces a decision; the format is in `docs/explain.md`.

A `Trial` decides again with the evaluator and remembers what it read. `Rules` say what that makes
of one goal, `justify` puts goals in an order in which nothing rests on itself, `document` writes
the proof that `engine.verify` checks, and `ways` looks for changes that would turn a denial.
"""

from engine.explain.explain import Source, explain, explain_each

__all__ = ["Source", "explain", "explain_each"]
