"""F1 and Matthews' correlation over (right label, predicted label) pairs.

The values are scikit-learn's. They are counted here rather than asked of it, because lm-eval
bootstraps them with 100,000 resamples, which takes scikit-learn minutes and an array of counts
a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Pair: TypeAlias = "tuple[Any, Any]"


def binary_pairs(items: Iterable[Pair]) -> Floats:
    """Return pairs as an array of shape (n, 2): 1.0 for the positive label, which is 1, else 0.0.

    Raises:
        ValueError: There are more than two labels, or two of which none is 1.
    """
    pairs = [tuple(pair) for pair in items]
    labels = {label for pair in pairs for label in pair}
    if len(labels) > 2 or (len(labels) == 2 and 1 not in labels):
        shown = ", ".join(sorted(map(repr, labels))[:5])
        raise ValueError(f"f1 takes the labels 0 and 1 unless told otherwise, found {shown}")
    return np.array([[float(label == 1) for label in pair] for pair in pairs])


def f1_scores(pairs: Floats) -> Floats:
    """Return F1 over the second last axis of pairs from ``binary_pairs``; 0 without positives."""
    found = pairs.prod(axis=-1).sum(axis=-1)
    positives = pairs.sum(axis=(-1, -2))
    return np.asarray(2 * found / np.where(positives == 0, 1, positives))


def f1(items: Sequence[Pair]) -> float:
    """F1 of the label 1.

    Raises:
        ValueError: There are other labels than 0 and 1.
    """
    return float(f1_scores(binary_pairs(items)))


def label_counts(items: Iterable[Pair]) -> Floats:
    """Return one k-by-k matrix per pair, of k labels: 1.0 at (right, predicted), else 0.0."""
    pairs = [tuple(pair) for pair in items]
    index: dict[Any, int] = {}
    for pair in pairs:
        for label in pair:
            index.setdefault(label, len(index))
    counts = np.zeros((len(pairs), len(index), len(index)))
    for row, (right, predicted) in enumerate(pairs):
        counts[row, index[right], index[predicted]] = 1.0
    return counts


def correlations(counts: Floats) -> Floats:
    """Return Matthews' correlation of matrices from ``label_counts``; 0 where a side is constant.

    The matrices are summed over the third last axis. Source: Gorodkin (2004), the R_K statistic.
    """
    table = counts.sum(axis=-3)
    right, predicted = table.sum(axis=-1), table.sum(axis=-2)
    total = right.sum(axis=-1)
    hits = np.trace(table, axis1=-2, axis2=-1)
    both = hits * total - (right * predicted).sum(axis=-1)
    spread = (total**2 - (right**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return np.asarray(np.where(spread == 0, 0.0, both / np.sqrt(np.where(spread == 0, 1, spread))))


def matthews(items: Sequence[Pair]) -> float:
    """Matthews' correlation coefficient over any number of labels."""
    return float(correlations(label_counts(items)))


def weighted_f1(items: Iterable[Pair]) -> float:
    """F1 of each label, averaged by how often the label is the right one."""
    table = label_counts(items).sum(axis=0)
    right, predicted = table.sum(axis=1), table.sum(axis=0)
    positives = right + predicted
    scores = 2 * np.diag(table) / np.where(positives == 0, 1, positives)
    return float(np.average(scores, weights=right))
