"""From what several tasks measured to the verdict of the gate that judges them as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pytest_lmmeval.errors import LmmError, TaskError
from pytest_lmmeval.gates.forecast import Forecast
from pytest_lmmeval.gates.pooled import (
    SHARES,
    Member,
    Units,
    judge_pooled,
    not_poolable,
    pooled_p_value,
)
from pytest_lmmeval.judging.accepted import accepted_metric
from pytest_lmmeval.judging.baseline_updates import current_baseline, is_updated
from pytest_lmmeval.judging.gate_scores import metric_scores
from pytest_lmmeval.judging.task_gates import Judge, NotJudged
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.plans.pools import Pool, PoolMember
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.records import Verdict
from pytest_lmmeval.tasks.scoring.group_results import mean_over_tasks
from pytest_lmmeval.tasks.task import Task


@dataclass(frozen=True)
class PoolJudge:
    """Judges the gates over several tasks of a run.

    Attributes:
        judge: Judges the gates of single tasks; has what was measured.
        scorer: Gives a plan's task, for its metrics.
        unavailable: By model or plan, why nothing could be measured with it.
    """

    judge: Judge
    scorer: Callable[[TaskPlan], Task]
    unavailable: Mapping[str, str]

    def verdict(self, pool: Pool, ahead: Forecast | None) -> Verdict:
        """Return the verdict; an ERROR that names the tasks that keep it from being judged.

        Args:
            pool: The gate.
            ahead: What it was able to show before the run, as far as that was known.

        Raises:
            NotJudged: No model, no number, or no baseline for a gate that nobody asked for.
        """
        self._check(pool)
        rule, key = pool.gate.rule, pool.gate.key
        if ahead is not None and ahead.underpowered and rule.underpowered == "error":
            reason = f"underpowered, so nothing was asked: {ahead.sentence()}"
            return self._error(pool, reason)
        try:
            members = self._members(pool)
            units = _units(pool, members)
        except TaskError as error:
            return self._error(pool, str(error))
        if not pool.gate.explicit:
            self._check_comparable(pool, members, units)
        others = self.judge.family.others(pool.place)
        verdict = judge_pooled(pool.name, rule, members, units, key=key, others=others)
        counts = [self.judge.ledger.tasks[each.plan.key].counts for each in pool.members]
        verdict = replace(
            verdict,
            n_failed=sum(count.failed for count in counts),
            n_truncated=sum(count.truncated for count in counts),
            n_unparsed=sum(member.current.n_unparsed for member in members),
        )
        return _with_group_value(pool, members, verdict)

    def p_value(self, pool: Pool) -> float | None:
        """Return the gate's own p-value of "nothing got worse"; None if there is none."""
        try:
            members = self._members(pool)
            return pooled_p_value(pool.gate.rule, members, _units(pool, members))
        except TaskError:
            return None

    def _check(self, pool: Pool) -> None:
        """Refuse to judge where that is no defect of the run.

        Raises:
            NotJudged: It is so.
        """
        for member in pool.members:
            plan = member.plan
            if plan.config.calibrate is not None:
                raise NotJudged("not judged while noise is measured")
            if is_updated(plan, member.gate):
                raise NotJudged(f"the baseline of {plan.name} is being written")
            measured = self.judge.ledger.tasks.get(plan.key)
            no_model = self.unavailable.get(plan.model_key)
            if no_model is not None and (measured is None or measured.missing):
                raise NotJudged(f"nothing was measured: {no_model}")

    def _members(self, pool: Pool) -> list[Member]:
        """Return what is pooled.

        Raises:
            TaskError: The tasks that lack something, each with what it is.
        """
        found, problems = [], []
        for member in pool.members:
            try:
                found.append(self._member(pool, member))
            except LmmError as error:
                problems.append(f"{member.plan.name}: {error}")
        if problems:
            raise TaskError("; ".join(problems))
        return found

    def _member(self, pool: Pool, member: PoolMember) -> Member:
        plan, gate = member.plan, member.gate
        measured = self.judge.ledger.tasks.get(plan.key)
        stop = self.judge.stops.get(plan.key)
        if stop is not None:
            raise TaskError(f"not measured to its end: {stop.reason}")
        if measured is None or measured.missing:
            why = self.unavailable.get(plan.key)
            lacking = plan.parts if measured is None else len(measured.missing)
            raise TaskError(why or f"{lacking} of {plan.parts} parts gave no result")
        task = self.scorer(plan)
        scores = metric_scores(measured, gate, task)
        accepted = accepted_metric(plan, gate, measured, partial(current_baseline, plan, measured))
        metric = gate.key.partition(",")[0]
        return Member(
            replace(scores, task=plan.name),
            accepted.metric,
            accepted.stale,
            partial(task.value_of_statistics, metric),
            None if pool.metric is None else _weight(pool, measured),
        )

    def _check_comparable(self, pool: Pool, members: Sequence[Member], units: Units) -> None:
        """Let a gate that nobody asked for be, where there is nothing to compare.

        Raises:
            NotJudged: It is so.
        """
        without = [member.current.task for member in members if member.baseline is None]
        strict = pool.members[0].plan.config.strict
        if without and not strict:
            names = ", ".join(without[:4]) + (", …" if len(without) > 4 else "")
            reason = f"no baseline of {names}; --lmm-update-baseline accepts what was measured"
            shown = Verdict(task=pool.name, key=pool.gate.key, outcome="UNDECIDED", reason=reason)
            n = sum(member.current.n for member in members)
            raise NotJudged(reason, _with_group_value(pool, members, replace(shown, n=n)))
        problems = [text for each in members if (text := not_poolable(each, units)) is not None]
        if problems and not without:
            raise NotJudged("; ".join(problems))

    def _error(self, pool: Pool, reason: str) -> Verdict:
        return Verdict(task=pool.name, key=pool.gate.key, outcome="ERROR", reason=reason)


def _units(pool: Pool, members: Sequence[Member]) -> Units:
    """Return shares of the full score for the gate of a suite, and a group's metric's own units.

    Raises:
        TaskError: The group's tasks do not agree about them, so that their mean says nothing.
    """
    if pool.metric is None:
        return SHARES
    first = members[0].current
    for member in members:
        current = member.current
        if (current.scale, current.higher_is_better) != (first.scale, first.higher_is_better):
            raise TaskError(
                f"{current.task} and {first.task} differ in the scale or direction of "
                f"{pool.gate.key}, so that their mean says nothing"
            )
    return Units(first.scale, first.higher_is_better)


def _weight(pool: Pool, measured: TaskLedger) -> float:
    """Return how much a task counts in its group: as lm-eval has it, by its largest metric."""
    assert pool.metric is not None, "checked by the caller"
    if not pool.metric.weight_by_size:
        return 1.0
    return float(_size(measured))


def _size(measured: TaskLedger) -> int:
    return max(len(measured.scores(key)) for key in measured.metric_keys())


def _with_group_value(pool: Pool, members: Sequence[Member], verdict: Verdict) -> Verdict:
    """Show the number that the results have of a group, which is over all docs of this run."""
    values = [member.current.value for member in members if member.current.value is not None]
    if pool.metric is None or len(values) < len(members):
        return verdict
    value, stderr = mean_over_tasks(
        values,
        [member.current.stderr for member in members],
        [int(member.weight or 0) for member in members],
        weight_by_size=pool.metric.weight_by_size,
    )
    return replace(verdict, value=value, stderr=stderr)
