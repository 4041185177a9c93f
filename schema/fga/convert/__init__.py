"""Schemas of one language said in the other, with what does not carry over."""
