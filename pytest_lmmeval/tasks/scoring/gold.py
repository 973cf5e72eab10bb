"""The right answer of a ``multiple_choice`` doc, as lm-eval 0.4.13 understands it."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

# The index of a choice that is not there, in lm-eval's own scores too.
NO_CHOICE = -100


def gold_index(gold: Any, choices: Sequence[str]) -> int | list[int]:
    """Return a gold as an index into the choices, or a list of such.

    One beyond the last choice, or a text that is none of them, gives ``NO_CHOICE``. A negative
    index stays: no choice has it, but ``exact_match`` counts from the end with it, as there.

    Args:
        gold: An index, which may be NumPy's; the text of a choice; or a list of indices.
        choices: The choices, without a delimiter.

    Raises:
        TypeError: The gold is something else.
    """
    if isinstance(gold, str):
        return choices.index(gold) if gold in choices else NO_CHOICE
    if isinstance(gold, list | tuple):
        return [_within(index, choices) for index in gold]
    return _within(gold, choices)


def is_there(gold: int | list[int]) -> bool:
    """Whether every choice that a gold names is there, and it names one."""
    indices = gold if isinstance(gold, list) else [gold]
    return bool(indices) and all(index >= 0 for index in indices)


def _within(index: Any, choices: Sequence[str]) -> int:
    number = operator.index(index)
    return number if number < len(choices) else NO_CHOICE
