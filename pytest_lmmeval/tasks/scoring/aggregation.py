"""From the scores of all docs to one value and its standard error, as the peers compute them.

Here is the mean, which most metrics have; ``known_aggregations.py`` holds the others. Those need
NumPy, which takes a run 60 ms to import.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]


def _as_array(items: Sequence[Any]) -> Floats:
    # Deferred, as above.
    import numpy as np

    return np.asarray(items, dtype=float)


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A named aggregation.

    Attributes:
        value: From the docs' scores to the value.
        replicates: The same for the bootstrap: from an array of (resamples, docs, …) to one value
            per resample. None if the peers give this aggregation no standard error or, like the
            mean, compute it directly.
        prepare: From the docs' scores to the array of (docs, …) that is resampled.
    """

    value: Callable[[Sequence[Any]], float]
    replicates: Callable[[Floats], Floats] | None = None
    prepare: Callable[[Sequence[Any]], Floats] = _as_array


def mean(items: Sequence[Any]) -> float:
    """Arithmetic mean."""
    return float(sum(items) / len(items))


MEAN = Aggregation(mean)


def sample_stddev(items: Sequence[float]) -> float:
    """Standard deviation with n - 1 in the denominator."""
    center = mean(items)
    return math.sqrt(sum((x - center) ** 2 for x in items) / (len(items) - 1))


def mean_stderr(items: Sequence[float]) -> float:
    """Standard error of the mean: sample standard deviation over the root of n."""
    return sample_stddev(items) / math.sqrt(len(items))


def stderr(aggregation: Aggregation, items: Sequence[Any], iterations: int) -> float | None:
    """Return the standard error of an aggregation, or None where the peers print "N/A".

    Args:
        aggregation: The aggregation.
        items: The docs' scores.
        iterations: Bootstrap replicates; with 0 the peers compute no standard error whatever.
    """
    if iterations <= 0 or len(items) < 2:
        return None
    if aggregation.value is mean:
        return mean_stderr(items)
    if aggregation.replicates is None:
        return None
    # Deferred, as above.
    from pytest_lmmeval.tasks.scoring.bootstrap import values_of_resamples

    values = aggregation.prepare(items)
    return sample_stddev(values_of_resamples(aggregation.replicates, values, iterations))
