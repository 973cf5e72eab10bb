"""What a run measured beside its scores, from the records of a task's docs."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_lmmeval.errors import LmmError, ModelError
from pytest_lmmeval.ledger import TaskLedger

# Prices are per so many tokens.
_PRICED = 1_000_000


def side_value(name: str, measured: TaskLedger, prices: Mapping[str, float]) -> float:
    """Return a number beside the scores.

    Args:
        name: Which one, of ``gates.side.SIDE_UNITS``.
        measured: A complete task.
        prices: Price per million tokens, of "prompt" and "completion".

    Raises:
        LmmError: The model did not report what the number is made of, or no doc was answered.
    """
    if name in ("truncation_rate", "unparsed_rate"):
        return _rate(name, measured)
    if name.startswith("latency_p"):
        return _quantile(measured, int(name.removeprefix("latency_p")) / 100)
    if name == "cost":
        return _cost(measured, prices)
    tokens = _tokens(measured)
    if name == "tokens_out":
        return tokens
    if not measured.seconds:
        raise LmmError("throughput: how long the task took is not known")
    return tokens / measured.seconds


def _rate(name: str, measured: TaskLedger) -> float:
    counts = measured.counts
    answered = counts.total - counts.failed
    if not answered:
        raise LmmError(f"{name}: no doc was answered")
    if name == "truncation_rate":
        return counts.truncated / answered
    # An answer that was cut may hold no result either; its outcome says the first alone.
    answers = (doc for doc in measured.docs if doc.outcome != "failed")
    return sum(0 < len(doc.answers) <= len(doc.unparsed) for doc in answers) / answered


def _quantile(measured: TaskLedger, share: float) -> float:
    """Return a quantile, by linear interpolation between the two nearest requests."""
    latencies = sorted(seconds for doc in measured.docs for seconds in doc.latencies)
    if not latencies:
        raise ModelError("the model did not report how long its requests took")
    place = share * (len(latencies) - 1)
    low = int(place)
    high = min(low + 1, len(latencies) - 1)
    return latencies[low] + (place - low) * (latencies[high] - latencies[low])


def _tokens(measured: TaskLedger) -> float:
    if not measured.tokens:
        raise ModelError("the model did not report how many tokens it generated")
    return float(measured.tokens)


def _cost(measured: TaskLedger, prices: Mapping[str, float]) -> float:
    prompt = sum(doc.prompt_tokens for doc in measured.docs)
    if prices.get("prompt") and not prompt:
        raise ModelError("cost: the model did not report how many tokens its prompts had")
    completion = _tokens(measured) if prices.get("completion") else 0.0
    total = prompt * prices.get("prompt", 0.0) + completion * prices.get("completion", 0.0)
    return total / _PRICED
