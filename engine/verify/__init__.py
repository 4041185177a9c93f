"""Verifying proofs, away from the service that made them: `verify(proof, schema, tuples)`."""

from engine.verify.verify import verify

__all__ = ["verify"]
