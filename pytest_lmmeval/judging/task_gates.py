"""From what a task measured to a verdict, or to a new baseline.

A gate is judged once all parts of its task are in. With ``--lmm-update-baseline`` it writes its
metric to the baseline file instead, unless docs failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pytest_lmmeval.errors import BaselineError, LmmError
from pytest_lmmeval.gates.baseline import Baseline
from pytest_lmmeval.gates.baseline_file import read_baseline
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.side import SideRule
from pytest_lmmeval.gates.verdict import judge
from pytest_lmmeval.gates.watch import Stop
from pytest_lmmeval.judging.accepted import accepted_metric
from pytest_lmmeval.judging.baseline_updates import BaselineUpdates, current_baseline, is_updated
from pytest_lmmeval.judging.family import Family
from pytest_lmmeval.judging.gate_scores import metric_scores
from pytest_lmmeval.judging.side_gates import WrongAnswers, judge_side_gate
from pytest_lmmeval.judging.stopped_gates import stopped_verdict
from pytest_lmmeval.ledger import Ledger, TaskLedger
from pytest_lmmeval.plans.calibration import noise_of, repeated
from pytest_lmmeval.plans.extending import (
    asks_again,
    first_look,
    further_runs,
    judge_in_two_looks,
    last_look,
)
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.records import Verdict, VerdictOutcome
from pytest_lmmeval.tasks.task import Task


class NotJudged(Exception):
    """There is nothing to judge, which is no defect of the run.

    Args:
        reason: Why, for the reader of a skipped gate.
        measured: What there is to show all the same.
    """

    def __init__(self, reason: str, measured: Verdict | None = None) -> None:
        super().__init__(reason)
        self.measured = measured


@dataclass
class Judge:
    """Judges the gates of a run, in the process that sees everything.

    Attributes:
        ledger: What was measured.
        family: The run's gates that tolerate no drop.
        updates: Writes the baselines of gates that are not to be judged.
        stops: By plan, why it was measured no further.
        elsewhere: Says which gate of another task tells that the answers of a plan's model are
            wrong, if one does.
    """

    ledger: Ledger
    family: Family
    stops: Mapping[str, Stop] = field(default_factory=dict)
    elsewhere: Callable[[TaskPlan], str | None] = lambda plan: None
    updates: BaselineUpdates = field(default_factory=BaselineUpdates)

    def judge(
        self, plan: TaskPlan, gate: GatePlan, task: Task, unavailable: str | None = None
    ) -> Verdict:
        """Return the verdict, or write the baseline if that is what was asked for.

        Args:
            plan: The task's plan.
            gate: The gate.
            task: The task, for its aggregation.
            unavailable: Why there is no model, if so.

        Raises:
            NotJudged: No model, no number, or no baseline for a gate that nobody asked for.
        """
        measured = self.ledger.tasks.get(plan.key)
        if unavailable is not None and (measured is None or measured.missing):
            raise NotJudged(f"nothing was measured: {unavailable}")
        stop = self.stops.get(plan.key)
        try:
            if stop is not None and measured is not None:
                return stopped_verdict(plan, gate, measured, stop)
            if measured is None or measured.missing:
                return self._incomplete(plan, gate, measured)
            now = partial(current_baseline, plan, measured)
            if gate.side is not None and plan.config.calibrate is not None:
                raise NotJudged("not judged while noise is measured")
            if gate.side is not None:
                return self._judge_side(plan, gate, gate.side, task, now())
            scores = metric_scores(measured, gate, task)
            if not task.has_number(gate.key.partition(",")[0]):
                raise NotJudged(f"{gate.key} has no number: its aggregation gives none")
            if plan.config.calibrate is not None:
                return self._calibrate(plan, gate, task, scores, now())
            if is_updated(plan, gate):
                return self._update(plan, gate, scores, now())
            return _with_old_rule(gate, self._compare(plan, gate, task, scores, now))
        except LmmError as error:
            return _error(plan, gate, str(error), measured)

    def _calibrate(
        self, plan: TaskPlan, gate: GatePlan, task: Task, first: MetricScores, now: Baseline
    ) -> Verdict:
        """Write the noise of several runs into the baseline, which keeps its scores if it can."""
        runs = [first]
        for each in repeated(plan):
            measured = self.ledger.tasks.get(each.key)
            if measured is None or measured.missing:
                return self._incomplete(each, gate, measured)
            runs.append(metric_scores(measured, gate, task))
        noise = noise_of(runs)
        accepted = self.updates.write_noise(plan, gate, first, now, noise)
        verdict = _measured(plan, gate, first, noise.sentence(), "PASS")
        return replace(verdict, baseline=accepted, notes=(noise.sentence(),))

    def _judge_side(
        self, plan: TaskPlan, gate: GatePlan, rule: SideRule, task: Task, now: Baseline
    ) -> Verdict:
        def outcome(other: GatePlan) -> str | None:
            """Judge the gate of a metric, which need not be selected; say what comes out."""
            if is_updated(plan, other):
                return None
            try:
                return self.judge(plan, other, task).outcome
            except NotJudged:
                return None

        measured = self.ledger.tasks[plan.key]
        others = WrongAnswers(outcome, self.elsewhere)
        return judge_side_gate(plan, gate, rule, measured, now, self.updates, others)

    def refused(self, plan: TaskPlan, gate: GatePlan, why: str) -> Verdict:
        """Return an ERROR for a gate for whose sake nothing was asked."""
        return _error(plan, gate, why, None)

    def cannot_be_asked(self, plan: TaskPlan, gate: GatePlan, why: str) -> Verdict:
        """Return an ERROR for a gate of a task that this run cannot ask, but an earlier one could.

        A server that has lost an ability, or a machine a package, must not turn CI green.

        Raises:
            NotJudged: No accepted run has measured it either.
        """
        baseline = read_baseline(plan.baseline) if gate.rule.baseline else None
        if baseline is None or gate.key not in {*baseline.metrics, *baseline.side}:
            raise NotJudged(f"nothing was measured: {why}")
        reason = f"{plan.baseline} holds what was measured once, and now nothing is: {why}"
        return _error(plan, gate, reason, None)

    def _compare(
        self,
        plan: TaskPlan,
        gate: GatePlan,
        task: Task,
        scores: MetricScores,
        now: Callable[[], Baseline],
    ) -> Verdict:
        accepted = accepted_metric(plan, gate, self.ledger.tasks[plan.key], now)
        if accepted.metric is None and gate.rule.baseline and scores.value is not None:
            return self._without_baseline(plan, gate, scores)

        def aggregate(values: Sequence[Any]) -> float:
            return task.value_of_statistics(gate.key.partition(",")[0], values)

        others = self.family.others((plan.key, gate.key))
        rule, looked = last_look(plan, gate.rule)
        look = partial(
            judge,
            baseline=accepted.metric,
            stale=accepted.stale,
            aggregate=aggregate,
            others=others,
        )
        if not asks_again(rule) or not scores.numeric:
            verdict = look(rule, scores)
        else:
            repeats = partial(self._repeats, plan, gate, task)
            verdict = judge_in_two_looks(rule, scores, look, repeats, aggregate)
        notes = (*accepted.notes, *verdict.notes, *looked)
        return replace(verdict, stderr=scores.stderr, notes=notes)

    def _repeats(
        self, plan: TaskPlan, gate: GatePlan, task: Task, count: int
    ) -> list[MetricScores] | None:
        """Return what so many repeats measured; None where nothing was asked again.

        Raises:
            BaselineError: Parts of them are missing.
        """
        runs = further_runs(plan)[:count]
        measured = [self.ledger.tasks.get(run.key) for run in runs]
        if not any(measured):
            return None
        for run, own in zip(runs, measured, strict=True):
            if own is None or own.missing:
                raise BaselineError(self._incomplete(run, gate, own).reason)
        return [metric_scores(own, gate, task) for own in measured if own is not None]

    def why_not_again(self, plan: TaskPlan, task: Task) -> str | None:
        """Return why a plan's docs are not to be asked again; None if a gate cannot tell yet."""
        for gate in map(first_look, plan.gates):
            if gate is None or is_updated(plan, gate):
                continue
            with suppress(NotJudged):
                if self.judge(plan, gate, task).outcome == "UNDECIDED":
                    return None
        return "the first look is enough"

    def _without_baseline(self, plan: TaskPlan, gate: GatePlan, scores: MetricScores) -> Verdict:
        """Return an ERROR if somebody asked for the gate: a lost file must not turn CI green."""
        reason = (
            f"no baseline in {plan.baseline}: {gate.key} is {scores.value:.4g}, n={scores.n}; "
            "--lmm-update-baseline accepts it"
        )
        if gate.explicit or plan.config.strict:
            bounded = gate.rule.floor is not None or gate.rule.ceiling is not None
            alone = "; 'baseline: false' gates by floor and ceiling alone" if bounded else ""
            return _measured(plan, gate, scores, reason + alone, "ERROR")
        raise NotJudged(reason, _measured(plan, gate, scores, reason, "UNDECIDED"))

    def _update(
        self, plan: TaskPlan, gate: GatePlan, scores: MetricScores, now: Baseline
    ) -> Verdict:
        value, before = self.updates.write(plan, gate, scores, now)
        was = "" if before is None else f", was {before:.4f}"
        reason = f"baseline written: {gate.key} {value:.4f}{was}, n={scores.n}"
        return replace(_measured(plan, gate, scores, reason, "PASS"), baseline=before)

    def _incomplete(self, plan: TaskPlan, gate: GatePlan, measured: TaskLedger | None) -> Verdict:
        missing = measured.missing if measured is not None else list(range(plan.parts))
        names = ", ".join(f"part:{index + 1:02d}" for index in missing[:4])
        more = ", …" if len(missing) > 4 else ""
        reason = f"{len(missing)} of {plan.parts} parts gave no result: {names}{more}"
        return _error(plan, gate, reason, measured)


def _with_old_rule(gate: GatePlan, verdict: Verdict) -> Verdict:
    """Add what the rule of the engine's own config says."""
    if gate.old is None or verdict.value is None:
        return verdict
    return replace(verdict, notes=(*verdict.notes, gate.old.sentence(verdict.value)))


def _measured(
    plan: TaskPlan, gate: GatePlan, scores: MetricScores, reason: str, outcome: VerdictOutcome
) -> Verdict:
    """Return what was measured where nothing was compared."""
    return Verdict(
        task=plan.name,
        key=gate.key,
        outcome=outcome,
        reason=reason,
        value=scores.value,
        stderr=scores.stderr,
        n=scores.n,
        n_failed=scores.n_failed,
        n_truncated=scores.n_truncated,
        n_unparsed=scores.n_unparsed,
    )


def _error(plan: TaskPlan, gate: GatePlan, reason: str, measured: TaskLedger | None) -> Verdict:
    counts = measured.counts if measured is not None else None
    return Verdict(
        task=plan.name,
        key=gate.key,
        outcome="ERROR",
        reason=reason,
        n=counts.total if counts else 0,
        n_failed=counts.failed if counts else 0,
        n_truncated=counts.truncated if counts else 0,
        n_unparsed=counts.unparsed if counts else 0,
    )
