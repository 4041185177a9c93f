"""The local graph index: one node's copy of a store's living tuples, in LMDB.

It is a cache with a revision. Tuples lie in it twice, by object and by subject; what recent
revisions changed lies beside them, so that snapshots of the last minutes can be read too.
"""
