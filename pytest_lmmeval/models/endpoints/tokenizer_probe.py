"""Whether a server's tokenizer is the one that prompts are encoded with here, and adds a BOS."""

from __future__ import annotations

import warnings
from typing import Protocol

from pytest_lmmeval.warnings import LmmWarning

# No two vocabularies cut this alike, except by chance.
TEXT = (
    "In 1984 Ødegård's naïve function f(x) = x**2 + 3*x cost €42.50; 东京 was 12,345 km away!\n\n"
)


class Counter(Protocol):
    """A model that can count tokens here and at the server."""

    def count_tokens(self, text: str) -> int | None:
        """Return the number of a text's tokens, special ones left out; None without a tokenizer."""

    async def count_tokens_there(self, text: str) -> int | None:
        """Return how many tokens the server makes of a text, None if it does not tell."""

    @property
    def sends_no_bos(self) -> bool:
        """Whether prompts go out as tokens, without the tokenizer's special ones."""


async def find_tokenizer_fault(model: Counter) -> str | None:
    """Return how the server's tokenizer differs from the one here; None if it does not.

    Warns if the server puts a BOS token before texts and prompts are sent without one.

    Args:
        model: The model.
    """
    here, there = model.count_tokens(TEXT), await model.count_tokens_there(TEXT)
    if here is None or there is None or there == here:
        return None
    if there == here + 1:
        if model.sends_no_bos:
            warnings.warn(
                LmmWarning(
                    "the server puts a BOS token before texts, and prompts are sent as tokens "
                    "without one, as lm-eval sends them; add_bos_token=true adds it"
                ),
                stacklevel=2,
            )
        return None
    if await model.count_tokens_there(TEXT + TEXT) == there:
        return None  # its counts do not depend on what is asked, so they tell nothing
    return (
        f"has another tokenizer than the one given: it makes {there} tokens of a text that has "
        f"{here} here; give its own as tokenizer=…"
    )
