"""How often Python looks for cyclic garbage while requests are in flight.

Each request makes some hundred objects, which live until it is answered and are no cycles. At
CPython's default a look begins after every 700 that are more, and took a seventh of the CPU time of
10,000 short requests.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# New objects before a look at them, such looks before one at older objects, and those before one at
# all. A few MB more, where every object is garbage.
_RARE = (10_000, 20, 20)

_lock = threading.Lock()
_askers = 0
_usual = gc.get_threshold()


def look_rarely() -> None:
    """Look for garbage rarely, until ``look_as_usual`` was called as often as this.

    A user who looks more rarely still, or never, keeps what they chose.
    """
    global _askers, _usual
    with _lock:
        _askers += 1
        if _askers == 1:
            _usual = gc.get_threshold()
            if 0 < _usual[0] < _RARE[0]:
                gc.set_threshold(*_RARE)


def look_as_usual() -> None:
    """Go back to how often it was before; see ``look_rarely``."""
    global _askers
    with _lock:
        _askers -= 1
        if _askers == 0:
            gc.set_threshold(*_usual)


@contextmanager
def no_look() -> Iterator[None]:
    """Look for no garbage where thousands of objects are made at once that are all kept."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
