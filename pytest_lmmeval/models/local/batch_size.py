"""How many requests share a forward pass: a number, or as many as fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pytest_lmmeval.errors import UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AUTO = "auto"


class OutOfMemory(Exception):
    """A batch does not fit into the device's memory."""


class BatchSize:
    """The number of requests in a forward pass, halved whenever memory does not suffice.

    Args:
        asked: A number; or ``auto``, which begins with ``largest``; or ``auto:N``, which also tries
            ``largest`` again at N evenly spaced places of a list that is sorted longest first.
        largest: Where ``auto`` begins.

    Raises:
        UsageError: ``asked`` is none of these, or a number is below 1.
    """

    def __init__(self, asked: int | str = 1, largest: int = 64) -> None:
        if largest < 1:
            raise UsageError(f"max_batch_size must be at least 1, not {largest}")
        kind, _, often = str(asked).partition(":")
        self.automatic = kind == _AUTO
        known = kind if not self.automatic else often or "1"
        if not known.isdecimal() or int(known) < 1 or (often and not self.automatic):
            raise UsageError(f"batch_size must be a number above 0, auto or auto:N, not {asked!r}")
        self._starts = int(known) if self.automatic else 1
        self._first = largest if self.automatic else int(known)
        self.current = self._first

    def batches(
        self,
        items: Sequence[Item],
        answer: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        too_large: Callable[[Item], Result],
        fits: Callable[[Sequence[Item]], bool] = lambda batch: True,
    ) -> Iterator[Result]:
        """Yield the result of every item, in order.

        Args:
            items: Longest first, so that memory runs out at once or never.
            answer: Answers a batch; raises ``OutOfMemory`` if it is too large.
            too_large: Returns the result of an item that does not even fit by itself.
            fits: Whether an automatic batch may be tried at all.
        """
        starts = {len(items) * part // self._starts for part in range(1, self._starts)}
        done = 0
        while done < len(items):
            if done and any(done - self.current < start <= done for start in starts):
                starts = {start for start in starts if start > done}
                self.current = self._first
            size = min(self.current, len(items) - done)
            while self.automatic and size > 1 and not fits(items[done : done + size]):
                size -= 1
            batch = items[done : done + size]
            try:
                results = answer(batch)
            except OutOfMemory:
                if size > 1:
                    self.current = size // 2
                    continue
                results = [too_large(batch[0])]
            yield from results
            done += size
