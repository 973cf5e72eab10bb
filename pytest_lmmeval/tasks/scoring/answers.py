"""What a response holds for filters and metrics, which know nothing of finish reasons and usage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_lmmeval.records import Response


def answer_of(response: Response) -> Any:
    """Return a text, a (log-likelihood in nats, is greedy) pair, or a log-likelihood alone."""
    if response.logprob is None:
        return response.text or ""
    if response.is_greedy is None:
        return response.logprob
    return response.logprob, response.is_greedy


def repeats_of(responses: Sequence[Response], repeats: int) -> list[list[Any]]:
    """Return the answers of each instance of a doc, one per repeat.

    Args:
        responses: Those of all its requests, in their order.
        repeats: How many requests an instance has.
    """
    answers = [answer_of(response) for response in responses]
    if len(answers) == repeats:
        return [answers]
    return [answers[start : start + repeats] for start in range(0, len(answers), repeats)]
