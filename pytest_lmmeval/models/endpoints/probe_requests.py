"""The requests of a probe: small, greedy, and the same in every run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from pytest_lmmeval.records import Instance, Message, Response

# Asks once, with further fields of the body: the response and the JSON it was read from.
Ask: TypeAlias = Callable[..., Awaitable[tuple[Response, Any]]]

TASK = "probe"


def generation(context: str | tuple[Message, ...], *, max_tokens: int) -> Instance:
    """Return a request for a greedy continuation."""
    settings = {"until": [], "max_gen_toks": max_tokens, "temperature": 0, "do_sample": False}
    return Instance(TASK, 0, 0, "generate_until", context, gen_kwargs=settings)


def likelihood(context: str, continuation: str) -> Instance:
    """Return a request for the log-probability of a continuation."""
    return Instance(TASK, 0, 0, "loglikelihood", context, continuation)
