"""The local graph index."""
