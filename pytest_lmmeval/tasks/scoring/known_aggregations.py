"""All aggregations that a task can name, as the peers compute them.

Source: lm-eval 0.4.13, for the formulas and for which of them have a standard error at all.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lmmeval.tasks.files.schema import Dialect
from pytest_lmmeval.tasks.parity import Differences
from pytest_lmmeval.tasks.scoring import classification, translation
from pytest_lmmeval.tasks.scoring.aggregation import MEAN, Aggregation, mean

Floats = npt.NDArray[np.float64]

# The mean log-likelihood below which a perplexity is more than a float can hold.
_LEAST = -math.log(sys.float_info.max)
_SUM_COMPENSATES = sys.version_info >= (3, 12)


def median(items: Sequence[Any]) -> float:
    """Upper median: the element in the middle, or right of it, of the sorted items."""
    return float(sorted(items)[len(items) // 2])


def nanmean(items: Sequence[Any]) -> float:
    """Mean of the items that are not NaN; NaN if all are."""
    if all(math.isnan(item) for item in items):
        return math.nan
    return float(np.nanmean(items))


def perplexity(items: Sequence[Any]) -> float:
    """exp(-mean) of log-likelihoods in nats."""
    return math.exp(-mean(items))


def _per_unit(items: Sequence[tuple[float, float]]) -> float:
    values, weights = zip(*items, strict=True)
    return float(sum(values) / sum(weights))


def weighted_perplexity(items: Sequence[tuple[float, float]]) -> float:
    """Perplexity per unit of (log-likelihood in nats, number of units) pairs."""
    return math.exp(-_per_unit(items))


def bits_per_byte(items: Sequence[tuple[float, float]]) -> float:
    """Bits per byte of (log-likelihood in nats, number of bytes) pairs."""
    return -_per_unit(items) / math.log(2)


def brier_score(items: Sequence[tuple[int, Sequence[float]]]) -> float:
    """Mean over docs of the squared distance between probabilities and the right answer.

    Args:
        items: (index of the right choice, probabilities of all choices), equally many per doc.
    """
    golds, probabilities = zip(*items, strict=True)
    predicted = np.array(probabilities, dtype=float)
    right = np.eye(predicted.shape[1])[list(golds)]
    return float(np.mean(np.sum((predicted - right) ** 2, axis=1)))


def bypass(items: Sequence[Any]) -> float:
    """The peers' value for "not scored"."""
    return 999.0


def _medians(samples: Floats) -> Floats:
    middle = samples.shape[-1] // 2
    return np.asarray(np.partition(samples, middle, axis=-1)[..., middle])


def _nanmeans(samples: Floats) -> Floats:
    kept = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):  # NaN, where a resample holds nothing else
        return np.asarray(np.where(kept, samples, 0.0).sum(axis=-1) / kept.sum(axis=-1))


def _perplexities(samples: Floats) -> Floats:
    # NumPy's exp() may differ from Python's in the last bit.
    means = sums(samples) / samples.shape[-1]
    return np.array([math.exp(-x) if x > _LEAST else math.inf for x in means.tolist()])


def sums(samples: Floats) -> Floats:
    """Sum over the last axis to the same bits as ``sum``: from left to right.

    NumPy's own sum adds in pairs. Python's compensates for what is lost in rounding since 3.12, by
    Neumaier (1974), Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen.
    """
    if not _SUM_COMPENSATES:
        return np.asarray(np.cumsum(samples, axis=-1)[..., -1])
    total = lost = np.zeros(samples.shape[:-1])
    for values in np.moveaxis(samples, -1, 0):
        before, total = total, total + values
        larger = np.abs(before) >= np.abs(values)
        lost = lost + np.where(larger, (before - total) + values, (values - total) + before)
    return np.asarray(total + np.where(np.isfinite(lost), lost, 0.0))


def _unsorted_median(items: Sequence[Any]) -> float:
    return float(items[len(items) // 2])


def _unsorted_medians(samples: Floats) -> Floats:
    return np.asarray(samples[..., samples.shape[-1] // 2])


def _of_corpus(name: str, fewest: bool = False) -> Aggregation:
    return Aggregation(
        partial(translation.corpus_score, name, fewest=fewest),
        partial(translation.resampled_scores, name),
        partial(translation.statistics, name, fewest=fewest),
    )


AGGREGATIONS = {
    "bits_per_byte": Aggregation(bits_per_byte),
    "brier_score": Aggregation(brier_score),
    "bypass": Aggregation(bypass),
    "f1": Aggregation(classification.f1, classification.f1_scores, classification.binary_pairs),
    "matthews_corrcoef": Aggregation(
        classification.matthews, classification.correlations, classification.label_counts
    ),
    "mean": MEAN,
    "median": Aggregation(median, _medians),
    "nanmean": Aggregation(nanmean, _nanmeans),
    "perplexity": Aggregation(perplexity, _perplexities),
    "weighted_perplexity": Aggregation(weighted_perplexity),
    **{name: _of_corpus(name) for name in translation.CORPUS_METRICS},
}


def aggregations(dialect: Dialect, differences: Differences) -> Mapping[str, Aggregation]:
    """Return the aggregations by name, with the peer's slips where those are wanted."""
    found = dict(AGGREGATIONS)
    if dialect == "lmms_eval" and not differences.median_is_sorted:
        found["median"] = Aggregation(_unsorted_median, _unsorted_medians)
    if not differences.references_match_in_number:
        found |= {name: _of_corpus(name, fewest=True) for name in translation.CORPUS_METRICS}
    return found
