"""Resamples of docs, drawn from the random streams of lm-eval 0.4.13.

Standard errors that come from them are the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# lm-eval draws replicates in chunks, each with its own seed, and drops what does not fill a chunk.
_CHUNK = 1000
# Numbers that one step of the bootstrap may hold in memory (80 MB).
_CELLS = 10_000_000


def values_of_resamples(
    replicates: Callable[[Floats], Floats], values: Floats, iterations: int
) -> list[float]:
    """Return an aggregation's value of each resample, drawn with replacement.

    Args:
        replicates: The aggregation, as in ``Aggregation``.
        values: What it takes of each doc, of shape (docs, …).
        iterations: Number of resamples; whole chunks of 1,000 only, if it is more than that.
    """
    chunk = min(_CHUNK, iterations)
    rows = max(1, _CELLS // values.size)
    results = []
    for seed in range(iterations // chunk):
        stream = _uniform_stream(seed)
        for start in range(0, chunk, rows):
            shape = (min(rows, chunk - start), len(values))
            # What random.choices does with the same stream.
            chosen = np.floor(stream.random_sample(shape) * len(values)).astype(np.intp)
            results.append(replicates(values[chosen]))
    return [value for found in results for value in found.tolist()]


def _uniform_stream(seed: int) -> np.random.RandomState:
    """Return NumPy's generator in the state of ``random.Random(seed)``: the same numbers, fast."""
    *key, position = random.Random(seed).getstate()[1]
    stream = np.random.RandomState()
    stream.set_state(("MT19937", np.array(key, dtype=np.uint32), position, 0, 0.0))
    return stream
