"""Which docs of a task a run evaluates."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Literal

from pytest_lmmeval.errors import UsageError

# Fixed, so that every process and every run with the same limit evaluates the same docs.
_SEED = 1234


def select_docs(
    size: int,
    *,
    limit: float | None = None,
    limit_from: Literal["random", "first"] = "random",
    samples: Sequence[int] | None = None,
) -> Sequence[int]:
    """Return the ids of the docs to evaluate, in ascending order.

    A random sample stands for the whole where the first docs often do not: many data sets are
    sorted. The docs of a lower limit are among those of a higher one.

    Args:
        size: Number of docs.
        limit: How many; below 1 the share of them, rounded up.
        limit_from: Whether to take a seeded random sample or the first docs.
        samples: The ids themselves, in place of ``limit``.

    Raises:
        UsageError: An id is out of range, the limit is not positive, or both are given.
    """
    if samples is not None and limit is not None:
        raise UsageError("limit and samples are both given; each says which docs to evaluate")
    if samples is not None:
        outside = [doc_id for doc_id in samples if not 0 <= doc_id < size]
        if outside:
            raise UsageError(f"samples: there is no doc {outside[0]}; docs are 0 to {size - 1}")
        return sorted(set(samples))
    if limit is None:
        return range(size)
    if not limit > 0 or math.isinf(limit):
        raise UsageError(f"limit is {limit:g}, expected a number of docs or a share below 1")
    count = min(size, math.ceil(size * limit) if limit < 1 else int(limit))
    if limit_from == "first" or count == size:
        return range(count)
    order = list(range(size))
    random.Random(_SEED).shuffle(order)
    return sorted(order[:count])
