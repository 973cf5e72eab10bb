"""The other processes of a run, as far as a journal needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Siblings:
    """The other processes that measure docs of the run. Each doc is one process's alone.

    Attributes:
        some_died: Whether one of them died, so that this one may get docs which that one has asked.
            May be set by any thread.
    """

    some_died: bool = False
