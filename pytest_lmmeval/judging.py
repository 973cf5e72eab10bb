"""From what a task measured to a verdict, or to a new baseline.

A gate is judged once all parts of its task are in. With ``--lmm-update-baseline`` it writes its
metric to the baseline file instead, unless docs failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_lmmeval.baseline_updates import BaselineUpdates, current_baseline, is_updated
from pytest_lmmeval.errors import BaselineError, LmmError, nearest
from pytest_lmmeval.failures import DOCS_SHOWN
from pytest_lmmeval.gates.baseline import Baseline
from pytest_lmmeval.gates.baseline_file import read_baseline
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange, stale_fields
from pytest_lmmeval.gates.verdict import judge
from pytest_lmmeval.ledger import DocRecord, Ledger, TaskLedger
from pytest_lmmeval.plans import GatePlan, TaskPlan
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
        updates: Writes the baselines of gates that are not to be judged.
    """

    ledger: Ledger
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
        if measured is None or measured.missing:
            return self._incomplete(plan, gate, measured)
        try:
            scores = metric_scores(measured, gate, task)
            if not task.has_number(gate.key.partition(",")[0]):
                raise NotJudged(f"{gate.key} has no number: its aggregation gives none")
            now = current_baseline(plan, measured)
            if is_updated(plan, gate):
                return self._update(plan, gate, scores, now)
            return self._compare(plan, gate, task, scores, now)
        except LmmError as error:
            return _error(plan, gate, str(error), measured)

    def cannot_be_asked(self, plan: TaskPlan, gate: GatePlan, why: str) -> Verdict:
        """Return an ERROR for a gate of a task that this run cannot ask, but an earlier one could.

        A server that has lost an ability, or a machine a package, must not turn CI green.

        Raises:
            NotJudged: No accepted run has measured it either.
        """
        baseline = read_baseline(plan.baseline) if gate.rule.baseline else None
        if baseline is None or gate.key not in baseline.metrics:
            raise NotJudged(f"nothing was measured: {why}")
        reason = f"{plan.baseline} holds what was measured once, and now nothing is: {why}"
        return _error(plan, gate, reason, None)

    def _compare(
        self, plan: TaskPlan, gate: GatePlan, task: Task, scores: MetricScores, now: Baseline
    ) -> Verdict:
        baseline = read_baseline(plan.baseline) if gate.rule.baseline else None
        accepted = baseline.metrics.get(gate.key) if baseline is not None else None
        if accepted is None and gate.rule.baseline and scores.value is not None:
            return self._without_baseline(plan, gate, scores)
        stale: list[FieldChange] = []
        if baseline is not None and accepted is not None:
            docs = self.ledger.tasks[plan.key].docs
            unread = any((doc.failure or "").startswith("media:") for doc in docs)
            comparable = _without_digests(now, baseline) if unread else now
            stale = stale_fields(baseline, comparable)

        def aggregate(values: Sequence[float]) -> float:
            return task.value(gate.key.partition(",")[0], values)

        verdict = judge(gate.rule, scores, accepted, stale, aggregate=aggregate)
        return replace(verdict, stderr=scores.stderr)

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

    def lost_lines(self, plan: TaskPlan, verdict: Verdict) -> list[str]:
        """Return a line per doc that was lost: what is right, and what the answer is now."""
        filter_name = verdict.key.partition(",")[2]
        wanted = set(verdict.lost)
        lines = [
            f"  lost doc {doc.doc_id}: expected {doc.target!r}, "
            f"found {doc.answers.get(filter_name, '')!r}"
            for doc in self.ledger.tasks[plan.key].docs
            if doc.doc_id in wanted
        ]
        rest = len(lines) - DOCS_SHOWN
        return [*lines[:DOCS_SHOWN], *([f"  … and {rest} more"] if rest > 0 else [])]


def metric_scores(measured: TaskLedger, gate: GatePlan, task: Task) -> MetricScores:
    """Return what a gate needs of a task's docs.

    A task may give a metric for some docs only, as MME gives each doc that of its category. Such a
    metric is made of these docs; a doc without an answer may be one of them.

    Raises:
        LmmError: No answered doc has a score for the gate's metric, or its aggregation failed.
    """
    answered = [doc for doc in measured.docs if _is_answered(doc)]
    if answered and not any(gate.key in doc.scores for doc in answered):
        known = measured.metric_keys()
        message = f"metric {gate.key} was not measured: {', '.join(known) or 'no score'}."
        raise BaselineError(message + nearest(gate.key, known))
    docs = [doc for doc in measured.docs if gate.key in doc.scores or not _is_answered(doc)]
    result = measured.result(gate.key, task) if answered else None
    clustered = any(doc.cluster is not None for doc in docs)
    return MetricScores(
        task=measured.name,
        key=gate.key,
        higher_is_better=task.higher_is_better(gate.key.partition(",")[0]),
        scale=task.scale(gate.key.partition(",")[0]),
        doc_ids=[doc.doc_id for doc in docs],
        scores=[doc.scores.get(gate.key) for doc in docs],
        value=result.value if result is not None else None,
        stderr=result.stderr if result is not None else None,
        clusters=[doc.cluster for doc in docs] if clustered else None,
        n_truncated=measured.counts.truncated,
        n_unparsed=sum(gate.key.partition(",")[2] in doc.unparsed for doc in docs),
    )


def _is_answered(doc: DocRecord) -> bool:
    # A doc is truncated without a score when its prompt was too long to be put.
    return bool(doc.scores) or doc.outcome not in ("failed", "truncated")


def _without_digests(now: Baseline, then: Baseline) -> Baseline:
    """Leave the digests out of the comparison, because some docs could not be read.

    A doc whose image is broken has no prompt. It counts as failed, and must not make the baseline
    look like that of other data.
    """
    digests = ("data_sha256", "prompt_sha256", "target_sha256")
    return replace(now, docs=replace(now.docs, **{d: getattr(then.docs, d) for d in digests}))


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
        n_failed=len(scores.failed),
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
