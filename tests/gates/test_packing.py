"""Per-doc scores and doc ids as text."""

from __future__ import annotations

import base64
import math
import random

import numpy as np
import pytest

from pytest_lmmeval.errors import BaselineError
from pytest_lmmeval.gates.packing import max_error, pack, pack_ids, unpack, unpack_ids


def _binary(n: int, seed: int = 1) -> list[float]:
    generator = random.Random(seed)
    return [float(generator.random() < 0.8) for _ in range(n)]


def test_a_whole_gsm8k_takes_220_characters_and_a_tag() -> None:
    scores = _binary(1319)
    text = pack(scores)
    assert text.startswith("b1:")
    assert len(text) == 3 + 220
    assert list(unpack(text, 1319)) == scores


def test_bits_are_laid_out_as_numpy_packs_them() -> None:
    scores = _binary(21)
    raw = np.packbits(np.array(scores, dtype=np.uint8)).tobytes()
    assert pack(scores) == "b1:" + base64.b64encode(raw).decode()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 64, 1000])
def test_binary_scores_come_back_for_any_number_of_docs(n: int) -> None:
    assert list(unpack(pack(_binary(n)), n)) == _binary(n)


@pytest.mark.parametrize(("runs", "tag"), [(2, "b2:"), (3, "b2:"), (4, "b3:"), (7, "b3:")])
def test_means_of_several_runs_are_stored_as_counts(runs: int, tag: str) -> None:
    generator = random.Random(runs)
    scores = [generator.randint(0, runs) / runs for _ in range(500)]
    text = pack(scores, runs=runs)
    assert text.startswith(tag)
    assert list(unpack(text, 500, runs=runs)) == scores


def test_three_runs_of_gsm8k_take_440_characters_and_a_tag() -> None:
    generator = random.Random(3)
    scores = [sum(generator.random() < 0.8 for _ in range(3)) / 3 for _ in range(1319)]
    assert len(pack(scores, runs=3)) == 3 + 440


def test_few_different_scores_are_stored_exactly() -> None:
    vqa = [0.0, 0.3, 0.6, 0.9, 1.0]
    scores = [random.Random(doc).choice(vqa) for doc in range(2000)]
    text = pack(scores)
    assert text.startswith("v3:0.0|0.3|0.6|0.9|1.0:")
    assert list(unpack(text, 2000)) == scores
    assert max_error(text) == 0


def test_other_scores_come_back_within_the_documented_error() -> None:
    generator = random.Random(5)
    scores = [generator.uniform(-300, 20) for _ in range(3000)]
    text = pack(scores)
    assert text.startswith("q16:")
    error = max(abs(a - b) for a, b in zip(unpack(text, 3000), scores, strict=True))
    assert error <= max_error(text)
    assert max_error(text) == pytest.approx((max(scores) - min(scores)) / 131_070)


def test_one_score_for_all_docs_is_stored_exactly() -> None:
    assert list(unpack(pack([0.25] * 9), 9)) == [0.25] * 9


def test_a_score_close_to_zero_is_not_taken_for_zero() -> None:
    assert list(unpack(pack([1e-12, 0.0, 1.0]), 3)) == [1e-12, 0.0, 1.0]


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(score: float) -> None:
    with pytest.raises(BaselineError, match=r"score 1 is .*; expected a finite number"):
        pack([1.0, score])


@pytest.mark.parametrize("n", [1312, 1321, 0, 5000])
def test_scores_for_another_number_of_docs_are_refused(n: int) -> None:
    with pytest.raises(BaselineError, match=r"165 bytes long; expected|more than the scores of"):
        unpack(pack(_binary(1319)), n)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "not a packed score list"),
        ("b1", "not a packed score list"),
        ("b1:", "not a packed score list"),
        ("z1:gA==", "not a packed score list"),
        ("b١:gA==", "not a packed score list"),
        ("b1:gA=", "not base64"),
        ("b1:g\u00c4==", "not base64"),
        ("b1:gA==gA==", "not base64|damaged"),
        ("b1:gB==", "damaged"),
        ("b1:kA==", "damaged"),
        ("b2:gA==", "packed as 'b2'; expected 'b1' for 1 run"),
        ("v1:0.0|x:gA==", "'x' stands where packed scores hold a number"),
        ("v1:0.0|nan:gA==", "'nan' stands where"),
        ("v1:0.0|0.5|1.0:gA==", "a table of 3 scores does not go with 'v1'"),
        ("v1:0.0:gA==", "score number 1 is not in the table"),
        ("q8:0.0:1.0:gA==", "packed as 'q8'; expected 'q16'"),
        ("q16:0.0:gAA=", "is not '<lowest>:<highest>:<base64>'"),
        ("q16:1.0:0.0:gAA=", "cannot reach from 1.0 to 0.0"),
        ("q16:0.0:inf:gAA=", "'inf' stands where"),
    ],
)
def test_damaged_text_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BaselineError, match=complaint):
        unpack(text, 3 if text.startswith("b1:k") else 1)


def test_counts_above_the_number_of_runs_are_refused() -> None:
    with pytest.raises(BaselineError, match="right in 3 of 2 runs"):
        unpack(pack([1.0, 2 / 3], runs=3), 2, runs=2)


def test_scores_too_far_apart_are_refused() -> None:
    with pytest.raises(BaselineError, match="too far apart"):
        pack([*(float(score) for score in range(20)), -1.7e308, 1.7e308])


def test_ids_from_zero_need_no_words() -> None:
    assert pack_ids(range(1319)) is None
    assert list(unpack_ids(None, 4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("ids", "text"),
    [([5], "5"), ([0, 1, 2, 7, 9, 10], "0-2,7,9-10"), (list(range(100, 200)), "100-199")],
)
def test_ids_in_runs_are_written_as_ranges(ids: list[int], text: str) -> None:
    assert pack_ids(ids) == text
    assert list(unpack_ids(text, len(ids))) == ids


@pytest.mark.parametrize("n", [10, 450, 1200, 1318])
def test_a_random_sample_of_docs_comes_back_in_little_text(n: int) -> None:
    ids = sorted(random.Random(n).sample(range(1319), n))
    text = pack_ids(ids)
    assert text is not None
    assert len(text) <= 3 + 220
    assert list(unpack_ids(text, n)) == ids


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("0-2", 4),
        ("3,2", 2),
        ("2-1", 0),
        ("1,1", 2),
        ("a", 1),
        ("", 1),
        ("1-2-3", 3),
        ("b1:oA==", 3),
    ],
)
def test_damaged_ids_are_refused(text: str, n: int) -> None:
    with pytest.raises(BaselineError, match="doc ids"):
        unpack_ids(text, n)


def test_a_range_of_a_trillion_docs_is_refused_at_once() -> None:
    with pytest.raises(BaselineError, match="are not 5 ids"):
        unpack_ids("0-999999999999", 5)
