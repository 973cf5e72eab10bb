"""When generation ends early, and what is then kept of it. Loads torch on import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class StopsAtText:
    """A stopping criterion of transformers: ends each row by itself, once a stop is in its text.

    Args:
        tokenizer: Decodes the rows.
        stops: The texts to stop at.
        start: Where in the rows the new tokens begin.
        after: A text only after which stops count, such as the end of a reasoning model's thoughts.
    """

    def __init__(
        self, tokenizer: Any, stops: Sequence[str], start: int, *, after: str | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stops)
        self._start = start
        self._after = after
        # A token holds at least one byte of a stop; one more may hold what stands before it.
        self._tail = max(len(stop.encode()) for stop in stops) + 1

    def __call__(self, tokens: torch.Tensor, _scores: Any, **_rest: Any) -> torch.Tensor:
        """Return for each row of ``tokens`` [rows, positions] whether it ends here."""
        start = self._start
        if self._after is None:
            start = max(start, tokens.shape[1] - self._tail)
        texts = self._tokenizer.batch_decode(tokens[:, start:])
        return torch.tensor([self.ends(text) for text in texts], device=tokens.device)

    def ends(self, text: str) -> bool:
        """Whether a stop is in ``text``."""
        if self._after is not None:
            _, ended, text = text.rpartition(self._after)
            if not ended:
                return False
        return any(stop in text for stop in self._stops)
