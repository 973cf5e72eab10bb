"""The windows in which a document longer than the model's context is scored, token by token once.

Pure Python: the same windows serve models in this process and those behind an endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_lmmeval.records import Response


def rolling_windows(
    tokens: Sequence[int], *, prefix_token: int, max_seq_len: int, context_len: int = 1
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield (context, continuation) pairs whose continuations together are ``tokens``.

    The first window predicts from ``prefix_token`` alone. Every further one predicts as many new
    tokens as leave ``context_len`` tokens before them; the last one, which has fewer tokens left,
    gets a longer context instead. As lm-eval's ``get_rolling_token_windows`` with
    ``make_disjoint_window``: a context and its continuation hold at most ``max_seq_len + 1``
    tokens, of which the model reads all but the last.

    Args:
        tokens: The document; nothing is yielded for an empty one.
        prefix_token: What stands before the first token, usually the BOS or EOS token.
        max_seq_len: The most tokens that the model reads.
        context_len: How many tokens of context each predicted token has at least.

    Raises:
        ValueError: ``context_len`` is not between 1 and ``max_seq_len``.
    """
    if not 1 <= context_len <= max_seq_len:
        raise ValueError(f"context_len must be 1 to {max_seq_len}, not {context_len}")
    if not tokens:
        return
    done = min(max_seq_len, len(tokens))
    yield [prefix_token], list(tokens[:done])
    step = max_seq_len - context_len + 1
    while done < len(tokens):
        end = min(done + step, len(tokens))
        yield list(tokens[end - max_seq_len - 1 : done]), list(tokens[done:end])
        done = end


def summed_windows(windows: Sequence[Response]) -> Response:
    """Return the response to a document from those to its windows."""
    for window in windows:
        if window.failure is not None:
            return window
    usage: dict[str, int] = {}
    for window in windows:
        for name, count in window.usage.items():
            usage[name] = usage.get(name, 0) + count
    return Response(
        logprob=math.fsum(window.logprob or 0.0 for window in windows),
        usage=usage,
        latency=sum(window.latency for window in windows),
        attempts=max((window.attempts for window in windows), default=0),
    )
