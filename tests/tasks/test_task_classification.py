"""F1 and Matthews' correlation are those of scikit-learn."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import f1_score, matthews_corrcoef

from pytest_lmmeval.tasks.scoring.classification import f1, matthews, weighted_f1

Pairs = list[tuple[Any, Any]]


def drawn(labels: list[Any], count: int, seed: int) -> Pairs:
    stream = random.Random(seed)
    return [(stream.choice(labels), stream.choice(labels)) for _ in range(count)]


BINARY: list[Pairs] = [drawn([0, 1], count, seed) for seed, count in enumerate((2, 5, 40))]
BINARY += [[(0, 0), (0, 0)], [(1, 1)], [(0, 1), (0, 0)], [(True, 1), (False, 1)], [(1.0, 0)]]
ANY: list[Pairs] = [*BINARY, drawn([0, 1, 2, -100], 50, 7), drawn(["a", "b", "c"], 30, 8)]


@pytest.mark.parametrize("pairs", BINARY)
def test_f1_is_scikit_learns(pairs: Pairs) -> None:
    golds, predictions = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        expected = f1_score(golds, predictions)
    assert f1(pairs) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("pairs", ANY)
def test_the_correlation_and_the_weighted_f1_are_scikit_learns(pairs: Pairs) -> None:
    golds, predictions = zip(*pairs, strict=True)
    with warnings.catch_warnings():
        # It wonders about labels that are always or never there.
        warnings.simplefilter("ignore")
        correlation = matthews_corrcoef(golds, predictions)
        weighted = f1_score(golds, predictions, average="weighted")
    assert matthews(pairs) == pytest.approx(correlation, rel=1e-12, abs=1e-15)
    assert weighted_f1(pairs) == pytest.approx(weighted, rel=1e-12)


@pytest.mark.parametrize("pairs", [[(0, 1), (2, 1)], [("yes", "no")], [(-100, 0), (1, 1)]])
def test_f1_refuses_the_labels_that_scikit_learn_refuses(pairs: Pairs) -> None:
    golds, predictions = zip(*pairs, strict=True)
    with pytest.raises(ValueError, match=r"average|pos_label"):
        f1_score(golds, predictions)
    with pytest.raises(ValueError, match="takes the labels 0 and 1"):
        f1(pairs)
