"""Responses as the texts that a journal keeps of them."""

from __future__ import annotations

import json
import math

import orjson

from pytest_lmmeval.errors import JournalError
from pytest_lmmeval.records import Response


def encoded(response: Response) -> str:
    """Return a response as JSON; every float and every text comes back as it was."""
    values = response.to_builtins()
    if math.isfinite(response.logprob or 0.0):
        try:
            return orjson.dumps(values).decode()
        except TypeError:
            pass  # a lone surrogate
    return json.dumps(values)


def decoded(answer: str) -> Response:
    """Return the response that ``encoded`` was given.

    Raises:
        JournalError: It is not what this version of the tool writes.
    """
    try:
        return Response.from_builtins(json.loads(answer))
    except (ValueError, TypeError) as error:
        raise JournalError(f"an answer in the journal cannot be read: {error}") from error
