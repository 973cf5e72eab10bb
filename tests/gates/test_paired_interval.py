"""The interval of a paired difference, against papers, SciPy and statsmodels."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from gate_builders import flags, flipped
from scipy import stats
from statsmodels.regression.linear_model import OLS

from pytest_lmmeval.gates.statistics import paired_interval, wilson_interval


def _smooth(n: int, seed: int = 1, shift: float = 0.0) -> tuple[list[float], list[float]]:
    generator = random.Random(seed)
    before = [generator.random() for _ in range(n)]
    return before, [score + generator.gauss(shift, 0.1) for score in before]


def test_binary_scores_match_the_authors_own_r_package() -> None:
    # statpsych's documentation of ci.prop.ps(.05, 12, 4, 26, 6); Bonett maintains it.
    before = flags(12 + 4, 26 + 6)
    interval = paired_interval(before, flipped(before, lost=4, gained=26), level=0.95)
    assert interval.se == pytest.approx(0.09448809, abs=1e-8)
    assert interval.low == pytest.approx(0.2548067, abs=1e-7)
    assert interval.high == pytest.approx(0.6251933, abs=1e-7)
    assert interval.delta == pytest.approx(22 / 48)
    assert interval.method == "Bonett–Price"


def test_binary_scores_match_fagerland_lydersen_and_laake() -> None:
    # Complete response before and after consolidation therapy (Cavo et al. 2012), as computed by
    # the tests of the R package contingencytables: -0.0621 (95 % CI -0.1195 to -0.0032).
    before = flags(59 + 16, 6 + 80)
    interval = paired_interval(before, flipped(before, lost=16, gained=6), level=0.95)
    assert interval.delta == pytest.approx(-0.0621, abs=5e-5)
    assert interval.low == pytest.approx(-0.1195, abs=5e-5)
    assert interval.high == pytest.approx(-0.0032, abs=5e-5)
    assert interval.churn == pytest.approx(22 / 161)


def test_binary_scores_of_a_scale_of_100_are_the_same_times_100() -> None:
    before = flags(70, 30)
    after = flipped(before, lost=9, gained=3)
    plain = paired_interval(before, after)
    scaled = paired_interval([s * 100 for s in before], [s * 100 for s in after], scale=100.0)
    assert scaled.method == plain.method
    assert (scaled.low, scaled.high) == pytest.approx((plain.low * 100, plain.high * 100))
    assert scaled.se == pytest.approx(plain.se * 100)


def test_the_ends_stay_on_the_scale() -> None:
    interval = paired_interval([1.0], [0.0], level=0.99)
    assert interval.low == -1.0
    assert interval.high <= 1.0


@pytest.mark.parametrize("level", [0.80, 0.90, 0.95])
def test_continuous_scores_match_scipys_paired_t(level: float) -> None:
    before, after = _smooth(60, shift=-0.02)
    expected = stats.ttest_rel(after, before).confidence_interval(level)
    interval = paired_interval(before, after, level=level)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.se == pytest.approx(stats.sem(np.subtract(after, before)))
    assert interval.method == "paired t"
    assert not interval.notes


def _clustered(groups: int, seed: int) -> tuple[list[float], list[float], list[str]]:
    generator = random.Random(seed)
    before, after, clusters = [], [], []
    for group in range(groups):
        shift = generator.gauss(0, 0.1)
        for _ in range(generator.randint(1, 9)):
            before.append(generator.random())
            after.append(before[-1] + shift + generator.gauss(0, 0.05))
            clusters.append(f"image {group}")
    return before, after, clusters


@pytest.mark.parametrize("groups", [20, 84])
def test_clusters_match_statsmodels_cr1(groups: int) -> None:
    before, after, clusters = _clustered(groups, seed=groups)
    difference = np.subtract(after, before)
    _, labels = np.unique(clusters, return_inverse=True)
    fit = OLS(difference, np.ones(len(difference))).fit(
        cov_type="cluster", cov_kwds={"groups": labels}, use_t=True
    )
    interval = paired_interval(before, after, clusters=clusters)
    assert interval.se == pytest.approx(fit.bse[0])
    assert (interval.low, interval.high) == pytest.approx(tuple(fit.conf_int(alpha=0.10)[0]))
    assert interval.groups == groups
    assert interval.method == "cluster-robust t"
    assert not interval.notes


def test_clusters_of_one_doc_are_no_clusters() -> None:
    before, after = _smooth(50)
    alone = paired_interval(before, after, clusters=list(range(50)))
    plain = paired_interval(before, after)
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high))


def test_docs_that_fall_together_widen_the_interval() -> None:
    before = flags(900, 100)
    after = flipped(before, lost=50, gained=0)
    together = [str(doc // 10) for doc in range(1000)]
    apart = [str(doc % 100) for doc in range(1000)]
    wide = paired_interval(before, after, clusters=together)
    narrow = paired_interval(before, after, clusters=apart)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_clustered_binary_scores_get_the_two_imaginary_docs_too() -> None:
    before = flags(80, 20)
    after = flipped(before, lost=6, gained=2)
    clusters: list[object] = [doc // 4 for doc in range(100)]
    difference = [*np.subtract(after, before), 1.0, -1.0]
    labels = np.unique([*(str(c) for c in clusters), "x", "y"], return_inverse=True)[1]
    fit = OLS(difference, np.ones(102)).fit(cov_type="cluster", cov_kwds={"groups": labels})
    interval = paired_interval(before, after, clusters=clusters)
    assert interval.se == pytest.approx(fit.bse[0])
    half = stats.t.ppf(0.95, 25 - 1) * fit.bse[0]
    assert interval.high == pytest.approx(fit.params[0] + half)


def test_few_clusters_are_said_to_be_few() -> None:
    before, after, clusters = _clustered(19, seed=2)
    [note] = paired_interval(before, after, clusters=clusters).notes
    assert note.startswith("only 19 clusters")


def test_two_clusters_that_agree_by_chance_prove_nothing() -> None:
    before, after = _smooth(40)
    both = paired_interval(before * 2, after * 2, clusters=["a"] * 40 + ["b"] * 40)
    docs = paired_interval(before * 2, after * 2)
    assert both.high - both.low > docs.high - docs.low


@pytest.mark.parametrize("binary", [True, False])
def test_one_cluster_gives_no_interval(binary: bool) -> None:
    before, after = (flags(40, 10), flags(38, 12)) if binary else _smooth(50)
    interval = paired_interval(before, after, clusters=["a"] * 50)
    assert (interval.low, interval.high, interval.se) == (-math.inf, math.inf, math.inf)
    assert interval.notes == ("all docs are in one cluster: there is no interval",)


def test_one_doc_gives_no_interval_of_a_continuous_score() -> None:
    interval = paired_interval([0.5], [0.4])
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    assert interval.notes == ("there is only one doc: there is no interval",)


@pytest.mark.parametrize("n", [10, 100, 1000])
def test_identical_continuous_scores_are_as_certain_as_identical_binary_ones(n: int) -> None:
    scores = [0.25, 0.5] * (n // 2)
    interval = paired_interval(scores, scores)
    binary = paired_interval(flags(n, 0), flags(n, 0))
    assert interval.delta == 0
    assert interval.low < 0 < interval.high
    # The t quantile and n - 1 make it a little wider than the normal interval.
    assert 1 <= interval.high / binary.high < 1.25


def test_a_shift_that_is_the_same_for_all_docs_is_not_taken_for_certain() -> None:
    before = [doc / 100 for doc in range(90)]
    interval = paired_interval(before, [score - 0.1 for score in before])
    assert interval.delta == pytest.approx(-0.1)
    assert interval.high - interval.low > 0.02


def test_a_single_changed_doc_does_not_shrink_the_interval() -> None:
    scores = [0.25, 0.5] * 100
    changed = [0.26, *scores[1:]]
    same, one = paired_interval(scores, scores), paired_interval(scores, changed)
    assert one.high - one.low >= same.high - same.low


def test_one_score_for_all_docs_without_a_scale_gives_no_interval() -> None:
    interval = paired_interval([3.0] * 50, [3.0] * 50, scale=None)
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    assert interval.notes == ("too little varies for an interval",)


def test_without_a_scale_the_observed_range_is_the_whole_scale() -> None:
    scores = [0.0, 8.0] * 50
    bounded = paired_interval([s / 8 for s in scores], [s / 8 for s in scores], clusters=range(100))
    free = paired_interval(scores, scores, scale=None)
    assert free.high == pytest.approx(8 * bounded.high)


@pytest.mark.parametrize(
    ("before", "after", "clusters"),
    [([], [], None), ([1.0], [], None), ([1.0], [1.0, 0.0], None), ([1.0], [1.0], ["a", "b"])],
)
def test_scores_without_a_partner_are_refused(
    before: Sequence[float], after: Sequence[float], clusters: Sequence[str] | None
) -> None:
    with pytest.raises(ValueError, match="paired scores need"):
        paired_interval(before, after, clusters=clusters)


@pytest.mark.parametrize("n", [50, 200])
def test_the_interval_of_sparse_continuous_scores_covers_what_it_claims(n: int) -> None:
    # ANLS-like: most docs keep their score, a few jump by anything up to the whole scale.
    generator = random.Random(n)
    true, missed, runs = -0.02, 0, 1000
    for _ in range(runs):
        before = [0.5 + 0.5 * generator.random() for _ in range(n)]
        after = [
            score - 0.8 * generator.random() * 2 * 0.5 if generator.random() < 0.05 else score
            for score in before
        ]
        interval = paired_interval(before, after)
        missed += interval.low > true
    # One-sided 5 %: a PASS must not claim more than the data show.
    assert missed / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize(("right", "n"), [(868, 1000), (0, 20), (20, 20), (13, 16)])
def test_wilson_matches_the_formula_of_1927(right: int, n: int) -> None:
    z, p = stats.norm.ppf(0.95), right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert wilson_interval(right, n) == pytest.approx((centre - half, centre + half), abs=1e-12)
