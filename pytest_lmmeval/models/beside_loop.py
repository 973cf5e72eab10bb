"""Work that may hold up an event loop goes to threads beside it; quick work does not.

A thread and the loop take turns at the interpreter, and where the work is quick they wait for each
other for longer than it takes: requests with a PNG of 300 KB each, 0.6 ms of work, were sent in
three quarters of the time without threads (``images`` of ``benchmarks/throughput``). How long work
takes is told by the work before it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# The first works import what they need, which says nothing of the others.
_FIRST = 8
# Seconds for which work may hold up the loop. For each of these that it took, so many works go to
# threads before another one shows on the loop whether they still take as long.
_QUICK = 0.003
_THEN_ON_THREADS = 64
_MOST_ON_THREADS = 1024


class BesideLoop:
    """Does work of one kind on threads, or on the loop while it is quick. Belongs to one loop.

    Args:
        pool: The threads.
    """

    def __init__(self, pool: cf.Executor) -> None:
        self._pool = pool
        self._for_threads = _FIRST
        self._was_slow = False

    async def do(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise what it raises.

        Args:
            work: May be called twice: what fails on the loop is done once more on a thread.
        """
        if self._for_threads == 0:
            begun = time.perf_counter()
            try:
                return work()
            except Exception:  # a user's code may have a loop of its own, which ours lets not run
                self._for_threads = _THEN_ON_THREADS
            finally:
                self._note(time.perf_counter() - begun)
        self._for_threads -= 1
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _note(self, seconds: float) -> None:
        was_slow, self._was_slow = self._was_slow, seconds > _QUICK
        if was_slow and self._was_slow:  # one alone may be slow by chance
            wanted = int(seconds / _QUICK * _THEN_ON_THREADS)
            self._for_threads = min(wanted, _MOST_ON_THREADS)
