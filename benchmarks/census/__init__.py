"""A census of a peer's tasks: which of them load here, and are asked as the peer asks them.

For every task of an installed lm-eval or lmms-eval: load it, make up a small data set from the
columns that its templates and functions use, build the requests of two docs here and with the peer,
and compare. See ``docs/census.md``.
"""
