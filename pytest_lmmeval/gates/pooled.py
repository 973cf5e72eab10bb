"""Several tasks as one gate: a small drop everywhere, which no single task can show.

By default all docs count alike, so that the pooled score is the tasks' mean weighted by size, and
its difference from the baseline is the mean of all paired differences (Miller 2024, arXiv
2411.00640, section 4). With weights of the tasks it is the weighted mean of the tasks' differences.
Scores are shares of their metric's full score, turned so that higher is better, unless the tasks
have one metric whose own units are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.comparison import Aggregate, find_measure
from pytest_lmmeval.gates.problems import problems_of
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange
from pytest_lmmeval.gates.verdict import judge, own_p_value
from pytest_lmmeval.records import Verdict


@dataclass(frozen=True, slots=True)
class Member:
    """One task's metric in a pool.

    Attributes:
        current: What the run measured.
        baseline: What the accepted run measured; None if there is none.
        stale: What keeps the two from being compared.
        aggregate: The metric's aggregation, to tell whether it is a mean.
        weight: How much the task counts; None for its number of docs. All members of a pool have
            one, or none has.
    """

    current: MetricScores
    baseline: BaselineMetric | None
    stale: Sequence[FieldChange] = ()
    aggregate: Aggregate | None = None
    weight: float | None = None

    @property
    def label(self) -> str:
        """The task and its metric."""
        return f"{self.current.task} {self.current.key.removesuffix(',none')}"


@dataclass(frozen=True, slots=True)
class Units:
    """What a pooled score is measured in.

    Attributes:
        scale: The full score; None keeps the members' units, which must have no full score either.
        higher_is_better: The direction.
    """

    scale: float | None = 1.0
    higher_is_better: bool = True

    def problem(self, scale: float | None) -> str | None:
        """Return why scores of a metric with this full score cannot be written so, if so."""
        if (self.scale is None) == (scale is None):
            return None
        return "has a full score and others have none" if scale else "has no full score"


SHARES = Units()


@dataclass(slots=True)
class _Pool:
    """The docs of all members, numbered through."""

    units: Units
    clusters: list[str | None] = field(default_factory=list)
    then: list[float] = field(default_factory=list)
    now: list[float | None] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, member: Member, factor: float) -> None:
        """Take in a member whose run has all docs of its baseline."""
        current, baseline = member.current, member.baseline
        assert baseline is not None, "checked by the caller"
        scores = dict(zip(current.doc_ids, current.scores, strict=True))
        groups = dict(zip(current.doc_ids, current.clusters or [None] * current.n, strict=True))
        answered = sum(scores[doc] is not None for doc in baseline.doc_ids)
        for doc, then in zip(baseline.doc_ids, baseline.scores(), strict=True):
            now = None if scores[doc] is None else float(scores[doc])
            if now is not None and abs(now - then) <= baseline.max_error:
                now = then
            self.then.append(self._written(current, then * factor))
            self.now.append(None if now is None else self._written(current, now * factor))
            self.clusters.append(None if groups[doc] is None else f"{member.label} {groups[doc]}")
            self.weights.append(1.0 if member.weight is None else member.weight / answered)

    def _written(self, current: MetricScores, score: float) -> float:
        """Return a score in the pool's units."""
        if self.units.scale is not None and current.scale is not None:
            score *= self.units.scale / current.scale
        if current.higher_is_better == self.units.higher_is_better:
            return score
        return (self.units.scale or 0.0) - score


def judge_pooled(
    name: str,
    rule: GateRule,
    members: Sequence[Member],
    units: Units = SHARES,
    *,
    key: str | None = None,
    others: Sequence[float | None] = (),
) -> Verdict:
    """Judge the docs of several tasks together.

    Args:
        name: What the verdict calls them.
        rule: The gate's rule. Its bounds are in the pool's units: by default shares of the full
            score, 0 to 1.
        members: The tasks; every metric must be a mean, and have a scale if the units have one.
        units: What the pooled score is measured in.
        key: The verdict's key, if not the name.
        others: As for ``verdict.judge``.

    Returns:
        The verdict, in the pool's units; an ERROR that names the tasks that cannot be compared.
    """
    key = key or name
    try:
        pool, lines = pooled(rule, members, units)
    except TaskError as error:
        return Verdict(task=name, key=key, outcome="ERROR", reason=str(error))
    verdict = judge(rule, _scores(name, key, pool), _accepted(name, key, pool), others=others)
    # Doc numbers of the pool mean nothing to a reader.
    return replace(verdict, lost=(), gained=(), notes=(*verdict.notes, *lines))


def pooled_p_value(
    rule: GateRule, members: Sequence[Member], units: Units = SHARES
) -> float | None:
    """Return the pool's own p-value of "nothing got worse"; None if there is none."""
    try:
        pool, _ = pooled(rule, members, units)
    except TaskError:
        return None
    return own_p_value(rule, _scores("pool", "pool", pool), _accepted("pool", "pool", pool))


def pooled(
    rule: GateRule, members: Sequence[Member], units: Units = SHARES
) -> tuple[_Pool, list[str]]:
    """Return the docs of several tasks, and a line for each task's own difference.

    Raises:
        TaskError: Some of them cannot be compared; the text names all of these.
    """
    members = [_comparable(member) for member in members]
    problems = [text for member in members if (text := _problem(rule, member, units)) is not None]
    if problems:
        raise TaskError("; ".join(problems))
    pool = _Pool(units)
    for member in members:
        pool.add(member, _factor(member))
    if len({round(weight, 9) for weight in pool.weights}) == 1:
        pool.weights = [1.0] * len(pool.weights)
    return pool, _lines(members, units)


def _comparable(member: Member) -> Member:
    """Leave out the docs that the accepted run left out, too."""
    if member.baseline is None:
        return member
    return replace(member, current=member.current.without_too_long(member.baseline.doc_ids))


def _problem(rule: GateRule, member: Member, units: Units) -> str | None:
    """Return why the member cannot be pooled, if so."""
    current, baseline = member.current, member.baseline
    if baseline is None:
        return f"{member.label} has no baseline"
    problems = problems_of(rule, current, baseline, member.stale)
    if problems:
        return f"{member.label}: {'; '.join(problems)}"
    return not_poolable(member, units)


def not_poolable(member: Member, units: Units = SHARES) -> str | None:
    """Return why the metric of a member that can be judged cannot be pooled, if so."""
    current, baseline = member.current, member.baseline
    if find_measure(current, baseline, member.aggregate).factor is None:
        return f"{member.label} is no mean of its docs' scores; leave it out"
    if problem := units.problem(current.scale):
        return f"{member.label} {problem}; leave it out"
    return None


def _factor(member: Member) -> float:
    """Return what makes the metric's value of a mean score."""
    factor = find_measure(member.current, member.baseline, member.aggregate).factor
    assert factor is not None, "checked before"
    return factor


def _mean(numbers: Sequence[float | None], weights: Sequence[float]) -> float:
    pairs = [(n, w) for n, w in zip(numbers, weights, strict=True) if n is not None]
    return sum(number * weight for number, weight in pairs) / sum(weight for _, weight in pairs)


def _scores(name: str, key: str, pool: _Pool) -> MetricScores:
    clustered = any(cluster is not None for cluster in pool.clusters)
    return MetricScores(
        task=name,
        key=key,
        higher_is_better=pool.units.higher_is_better,
        scale=pool.units.scale,
        doc_ids=range(len(pool.now)),
        scores=pool.now,
        value=_mean(pool.now, pool.weights),
        clusters=pool.clusters if clustered else None,
        weights=None if set(pool.weights) == {1.0} else pool.weights,
    )


def _accepted(name: str, key: str, pool: _Pool) -> BaselineMetric:
    whole = replace(
        _scores(name, key, pool),
        scores=pool.then,
        value=_mean(pool.then, pool.weights),
        clusters=None,
    )
    return BaselineMetric.from_scores(whole)


def _lines(members: Sequence[Member], units: Units) -> list[str]:
    """Return each member's own difference, the largest drop first."""
    found = []
    for member in members:
        pool = _Pool(units)
        pool.add(member, _factor(member))
        moves = [
            now - then for then, now in zip(pool.then, pool.now, strict=True) if now is not None
        ]
        if moves:
            found.append((sum(moves) / len(moves), len(moves), member.label))
    found.sort(reverse=not units.higher_is_better)
    return [f"{label}: {_points(mean, units)}, n={n}" for mean, n, label in found]


def _points(difference: float, units: Units) -> str:
    if units.scale is None:
        return f"{difference:+.3g}"
    return f"{100 * difference / units.scale:+.1f}pp"
