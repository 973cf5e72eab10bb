"""Scores of the output types that ask for likelihoods, as lm-eval 0.4.13 computes them.

Log-likelihoods are sums over tokens, in nats. Where lmms-eval's models hand losses to its scoring,
which then takes the smallest, it is the largest log-likelihood here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_lmmeval.tasks.scoring.gold import NO_CHOICE, gold_index

Floats = npt.NDArray[np.float64]


def target_scores(values: Sequence[Any]) -> dict[str, Any]:
    """Return the scores of ``loglikelihood``.

    Args:
        values: The (log-likelihood, is greedy) pair of the one instance.
    """
    loglikelihood, is_greedy = values[0]
    return {"perplexity": loglikelihood, "acc": int(is_greedy)}


def rolling_scores(values: Sequence[Any], text: str) -> dict[str, Any]:
    """Return the scores of ``loglikelihood_rolling``: pairs, for aggregations per unit of text.

    Args:
        values: The log-likelihood of the one instance.
        text: The text that it is of. Its words are what white space separates.
    """
    (loglikelihood,) = values
    n_bytes = len(text.encode("utf-8"))
    return {
        "word_perplexity": (loglikelihood, len(re.split(r"\s+", text))),
        "byte_perplexity": (loglikelihood, n_bytes),
        "bits_per_byte": (loglikelihood, n_bytes),
    }


@dataclass(frozen=True)
class ChoiceScores:
    """The scores of ``multiple_choice`` for one doc.

    Attributes:
        values: A (log-likelihood, is greedy) pair per choice; then, for ``acc_mutual_info``, one
            per choice without the question.
        choices: The choices, without a delimiter.
        gold: Index of the right choice, or its text, or a list of such indices.

    Raises:
        TypeError: ``gold`` or a pair is something else.
        ValueError: There are not as many pairs as choices.
    """

    values: Sequence[tuple[float, bool]]
    choices: Sequence[str]
    gold: Any

    def __post_init__(self) -> None:
        if len(self.values) not in (len(self.choices), 2 * len(self.choices)):
            raise ValueError(f"{len(self.values)} likelihoods for {len(self.choices)} choices")

    def by_metric(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the scores that are asked for, which are names in ``LIKELIHOOD_METRICS``."""
        measures: dict[str, Callable[[], Any]] = {
            "acc": lambda: self._is_right(self._best(self._logprobs)),
            "f1": lambda: (self._gold, self._best(self._logprobs)),
            "mcc": lambda: (self._gold, self._best(self._logprobs)),
            "acc_norm": lambda: self._is_right(self._best_per(len)),
            "acc_bytes": lambda: self._is_right(self._best_per(_n_bytes)),
            "exact_match": self._is_greedy,
            "brier_score": lambda: (self._gold, _softmax(self._logprobs).tolist()),
            "likelihood": lambda: (self._gold, self._logprobs.tolist()),
            "acc_mutual_info": self._mutual_info,
        }
        return {name: measures[name]() for name in names}

    @property
    def _logprobs(self) -> Floats:
        return np.array([pair[0] for pair in self.values[: len(self.choices)]], dtype=float)

    @property
    def _gold(self) -> int | list[int]:
        return gold_index(self.gold, self.choices)

    def _is_right(self, chosen: int) -> float:
        gold = self._gold
        return 1.0 if (chosen in gold if isinstance(gold, list) else chosen == gold) else 0.0

    def _best(self, scores: Floats) -> int:
        # NaN counts as largest and the first of equals wins, as in NumPy.
        return int(np.argmax(scores))

    def _best_per(self, length: Callable[[str], int]) -> int:
        lengths = np.array([float(length(choice)) for choice in self.choices])
        # An empty choice is infinitely unlikely per unit.
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._best(self._logprobs / lengths)

    def _is_greedy(self) -> int:
        greedy = [pair[1] for pair in self.values]
        gold = self._gold if isinstance(self._gold, list) else [self._gold]
        return int(any(greedy[index] for index in gold if index != NO_CHOICE))

    def _mutual_info(self) -> float:
        if len(self.values) != 2 * len(self.choices):
            raise ValueError("acc_mutual_info needs the choices' likelihoods without the question")
        bare = np.array([pair[0] for pair in self.values[len(self.choices) :]], dtype=float)
        return self._is_right(self._best(self._logprobs - bare))


def _n_bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def _softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max())
    return np.asarray(powers / powers.sum())
