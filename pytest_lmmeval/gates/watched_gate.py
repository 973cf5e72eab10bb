"""One gate while its task is measured: the bets that may decide it before the last doc.

There are two bets: that the drop is larger than ``max_drop``, which the fuse and a sequential gate
read, each at its own alpha; and, for a sequential gate, that it is smaller than ``must_detect``. A
doc without an answer counts as the best that it could have been in the first, and as the worst in
the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.betting import Expectation, MeanBet
from pytest_lmmeval.gates.forecast import ASSUMED_CHURN
from pytest_lmmeval.gates.fuse import ALPHA, DropFuse
from pytest_lmmeval.records import Outcome

# How many docs the expectation of no change counts for, and what one lost doc may cost: a bet on no
# change gains little by each doc, so that it must not lose much by one.
_UNCHANGED_DOCS: Final = 50
_UNCHANGED_CAP: Final = 0.6


class SeenDoc(Protocol):
    """What a bet needs of a doc: a sample has it, and what is kept of one."""

    @property
    def doc_id(self) -> int:
        """Index of the doc in the evaluated split."""

    @property
    def outcome(self) -> Outcome:
        """What became of it."""

    @property
    def scores(self) -> Mapping[str, Any]:
        """What each metric takes into its aggregation, by ``"metric,filter"``."""

    @property
    def cluster(self) -> str | None:
        """The cluster that it belongs to, if it has one."""


@dataclass(frozen=True, slots=True)
class Sequential:
    """What a sequential gate is looked at with.

    Attributes:
        alpha: The risk of a wrong FAIL, and of a wrong PASS, before the last doc.
        must_detect: The drop that a PASS rules out, in metric units.
        max_failed: The share of docs (0 to 1) that may stay without an answer; where there are
            more, nothing is decided.
    """

    alpha: float
    must_detect: float
    max_failed: float


@dataclass(frozen=True, slots=True)
class Armed:
    """A gate that may end its task early.

    Attributes:
        baseline: The accepted metric: numbers per doc, whose mean is the value.
        factor: The value is this many times the mean score.
        scale: The metric's full score.
        max_drop: The drop that is tolerated, in metric units.
        trips: Whether a certain failure ends the task, whatever becomes of other gates.
        sequential: How it is looked at if it is sequential.
    """

    baseline: BaselineMetric
    factor: float
    scale: float
    max_drop: float
    trips: bool = True
    sequential: Sequential | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A gate that is decided before the last doc.

    Attributes:
        outcome: PASS or FAIL.
        alpha: The risk at which it is.
        by: What decided it.
        docs: How many docs it took.
        then: The mean of their scores in the baseline, in metric units.
        now: The mean now; docs without an answer count as in the bet that was won.
        lost: Docs that got worse by at least half of the scale.
        gained: Docs that got better by as much.
    """

    outcome: Literal["PASS", "FAIL"]
    alpha: float
    by: Literal["fuse", "sequential"]
    docs: int
    then: float
    now: float
    lost: tuple[int, ...]
    gained: tuple[int, ...]


class WatchedGate:
    """An armed gate and what it has seen.

    Args:
        armed: The gate.
        largest: Docs in the largest cluster; 1 where docs are independent.

    Attributes:
        outcome: What a sequential gate is decided to be, once it is.
    """

    def __init__(self, armed: Armed, largest: int) -> None:
        self.outcome: Literal["PASS", "FAIL"] | None = None
        baseline, self._sequential = armed.baseline, armed.sequential
        self._armed = armed
        self._better = 1 if baseline.higher_is_better else -1
        self._accepted = dict(zip(baseline.doc_ids, baseline.scores(), strict=True))
        self._dropped = DropFuse(armed.max_drop / armed.scale, largest=largest)
        self._ruled_out: MeanBet | None = None
        if self._sequential is not None:
            self._ruled_out = bet_on_no_change(self._sequential.must_detect / armed.scale, largest)
        self._docs: list[_Doc] = []
        self._unanswered = 0
        self._foreign = False

    @property
    def tripped(self) -> bool:
        """Whether it has certainly failed, and ends the task by that."""
        return self._armed.trips and self._dropped.tripped

    def add(self, key: str, seen: Sequence[SeenDoc]) -> None:
        """Take in the docs of one cluster, or one doc; ``key`` is the gate's."""
        docs = []
        for doc in seen:
            score = doc.scores.get(key)
            if doc.doc_id in self._accepted:
                docs.append(self._doc(doc.doc_id, score))
            else:
                # Not the baseline's docs, unless this one is none of the metric's: see the verdict.
                self._foreign = self._foreign or score is not None
        if self._foreign or not docs:
            return
        self._docs += docs
        self._dropped.add([self._move(doc, doc.best) for doc in docs])
        if self._ruled_out is not None:
            self._ruled_out.add([-self._move(doc, doc.worst) for doc in docs])
        self.outcome = self.outcome or self._decide()

    def _doc(self, doc_id: int, score: Any) -> _Doc:
        then = self._accepted[doc_id] * self._armed.factor
        if score is not None:
            now = float(score) * self._armed.factor
            return _Doc(doc_id, then, now, now)
        best, worst = (self._armed.scale, 0.0)[:: self._better]
        self._unanswered += 1
        return _Doc(doc_id, then, best, worst)

    def _move(self, doc: _Doc, now: float) -> float:
        """Return a doc's change as a share of the scale, negative for worse."""
        return max(-1.0, min(1.0, self._better * (now - doc.then) / self._armed.scale))

    def _decide(self) -> Literal["PASS", "FAIL"] | None:
        rule = self._sequential
        if rule is None or self._ruled_out is None:
            return None
        if self._unanswered > rule.max_failed * len(self._docs):
            return None
        if self._dropped.won(rule.alpha):
            return "FAIL"
        return "PASS" if self._ruled_out.won(rule.alpha) else None

    def decided(self) -> Decided:
        """Return what it is decided to be, and on which docs."""
        outcome = "FAIL" if self.tripped else self.outcome or "FAIL"
        sequential = self._sequential is not None and not self.tripped
        moves = [(doc.doc_id, self._move(doc, doc.best)) for doc in self._docs]
        now = [doc.worst if outcome == "PASS" else doc.best for doc in self._docs]
        return Decided(
            outcome,
            self._sequential.alpha if self._sequential is not None and sequential else ALPHA,
            "sequential" if sequential else "fuse",
            len(self._docs),
            then=sum(doc.then for doc in self._docs) / len(self._docs),
            now=sum(now) / len(self._docs),
            lost=tuple(sorted(doc_id for doc_id, move in moves if move <= -0.5)),
            gained=tuple(sorted(doc_id for doc_id, move in moves if move >= 0.5)),
        )


@dataclass(frozen=True, slots=True)
class _Doc:
    """A doc that was looked at, in metric units; what it may have been if it has no answer."""

    doc_id: int
    then: float
    best: float
    worst: float


def bet_on_no_change(must_detect: float, largest: int = 1) -> MeanBet:
    """Return the bet against a drop of ``must_detect`` or more; it is fed with losses as gains.

    Args:
        must_detect: The drop, as a share of the scale.
        largest: Docs in the largest cluster; 1 where docs are independent.
    """
    square = ASSUMED_CHURN + must_detect**2
    expected = Expectation(-must_detect, square, _UNCHANGED_DOCS, _UNCHANGED_CAP)
    return MeanBet(-must_detect, expected, largest=largest)
