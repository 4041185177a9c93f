"""Caveats: CEL expressions over typed parameters, compiled once per schema.

caveats = CaveatSet(schema)                             # SchemaTypeError with every problem
stored = caveats.normalize_context("weekday", {...}, "updates.0.caveat.context")
bound = caveats.bind({"day": "friday"})                 # once per request
bound.evaluate("weekday", stored)                       # True, False or the missing names
"""

from engine.caveats.evaluate import Bound, CaveatSet

__all__ = ["Bound", "CaveatSet"]
