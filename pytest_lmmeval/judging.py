"""From what a task measured to a verdict, or to a new baseline.

A gate is judged once all parts of its task are in. With ``--lmm-update-baseline`` it writes its
metric to the baseline file instead, unless docs failed.
"""

from __future__ import annotations

import datetime
import fnmatch
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from pytest_lmmeval.errors import BaselineError, LmmError
from pytest_lmmeval.gates.baseline import (
    Baseline,
    BaselineDocs,
    BaselineKey,
    BaselineMetric,
    BaselineOrigin,
    BaselineQuality,
    BaselineRun,
    combined_sha256,
)
from pytest_lmmeval.gates.baseline_file import read_baseline, write_baseline
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange, stale_fields
from pytest_lmmeval.gates.verdict import judge
from pytest_lmmeval.ledger import DocRecord, Ledger, TaskLedger
from pytest_lmmeval.plans import GatePlan, TaskPlan
from pytest_lmmeval.records import Sample, Verdict, VerdictOutcome
from pytest_lmmeval.tasks.task import Task

# Lost docs that a failure message names; the samples file has them all.
LOST_SHOWN = 10


class NotJudged(Exception):
    """There is nothing to judge, which is no defect of the run.

    Args:
        reason: Why, for the reader of a skipped gate.
        measured: What there is to show all the same.
    """

    def __init__(self, reason: str, measured: Verdict | None = None) -> None:
        super().__init__(reason)
        self.measured = measured


class GateFailed(AssertionError):
    """A gate's verdict is FAIL (or UNDECIDED where that fails).

    Args:
        verdict: The verdict.
        lost: One line per doc that was lost, as far as they are shown.
    """

    def __init__(self, verdict: Verdict, lost: Sequence[str] = ()) -> None:
        self.verdict = verdict
        lines = [f"{verdict.outcome} {verdict.task}: {verdict.reason}", *lost, *verdict.notes]
        super().__init__("\n".join(lines))


class GateError(AssertionError):
    """A gate cannot say anything about the model: its verdict is ERROR."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__("\n".join([f"ERROR {verdict.task}: {verdict.reason}", *verdict.notes]))


class PartFailed(AssertionError):
    """Requests of a part failed for good.

    Args:
        failed: Ids and failures of the docs without an answer.
        total: Docs in the part.
    """

    def __init__(self, failed: Sequence[tuple[int, str]], total: int) -> None:
        shown = [f"  doc {doc_id}: {failure}" for doc_id, failure in failed[:LOST_SHOWN]]
        if len(failed) > LOST_SHOWN:
            shown.append(f"  … and {len(failed) - LOST_SHOWN} more")
        head = f"{len(failed)} of {total} docs got no answer; the others are scored"
        super().__init__("\n".join([head, *shown]))


def failed_docs(samples: Sequence[Sample]) -> list[tuple[int, str]]:
    """Return id and failure of every doc that got no answer."""
    records = [DocRecord.of(sample) for sample in samples if sample.outcome == "failed"]
    return [(record.doc_id, record.failure or "no answer") for record in records]


@dataclass
class Judge:
    """Judges the gates of a run, in the process that sees everything.

    Attributes:
        ledger: What was measured.
        updated: Gates whose baseline was written, with the file.
    """

    ledger: Ledger
    updated: dict[tuple[str, str], str] = field(default_factory=dict)
    _replaced: dict[Path, Baseline | None] = field(default_factory=dict)

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
            NotJudged: No model, or no baseline for a gate that nobody asked for.
        """
        measured = self.ledger.tasks.get(plan.key)
        if unavailable is not None and (measured is None or measured.missing):
            raise NotJudged(f"nothing was measured: {unavailable}")
        if measured is None or measured.missing:
            return self._incomplete(plan, gate, measured)
        try:
            scores = metric_scores(measured, gate, task)
            now = current_baseline(plan, measured)
            if is_updated(plan, gate):
                return self._update(plan, gate, scores, now)
            return self._compare(plan, gate, task, scores, now)
        except LmmError as error:
            return _error(plan, gate, str(error), measured)

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
        """Write this gate's metric; others stay if they were measured the same way."""
        there = _readable_baseline(plan.baseline)
        metrics = {}
        if there is not None and not stale_fields(there, now):
            metrics = dict(there.metrics)
        accepted = BaselineMetric.from_scores(scores)
        metrics[gate.key] = accepted
        # Gates of one task write one after the other, in any order; "previous" is before them all.
        previous = self._replaced.setdefault(plan.baseline, there)
        old = {k: m.value for k, m in previous.metrics.items()} if previous is not None else {}
        origin = replace(now.by, previous=old, reason=plan.config.update_reason)
        write_baseline(plan.baseline, replace(now, metrics=metrics, by=origin))
        self.updated[plan.key, gate.key] = str(plan.baseline)
        before = old.get(gate.key)
        was = "" if before is None else f", was {before:.4f}"
        reason = f"baseline written: {gate.key} {accepted.value:.4f}{was}, n={scores.n}"
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
        rest = len(lines) - LOST_SHOWN
        return [*lines[:LOST_SHOWN], *([f"  … and {rest} more"] if rest > 0 else [])]


def metric_scores(measured: TaskLedger, gate: GatePlan, task: Task) -> MetricScores:
    """Return what a gate needs of a task's docs.

    Raises:
        LmmError: No doc has a score for the gate's metric, or its aggregation failed.
    """
    docs = list(measured.docs)
    # A doc is truncated without a score when its prompt was too long to be put.
    answered = [doc for doc in docs if doc.scores or doc.outcome not in ("failed", "truncated")]
    without = [doc.doc_id for doc in answered if gate.key not in doc.scores]
    if without:
        ids = ", ".join(map(str, without[:LOST_SHOWN]))
        raise BaselineError(
            f"metric {gate.key} was not measured on {len(without)} of {len(docs)} docs: {ids}"
        )
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


def current_baseline(plan: TaskPlan, measured: TaskLedger) -> Baseline:
    """Return the baseline that this run would write, without metrics."""
    docs = sorted(measured.docs, key=lambda doc: doc.doc_id)
    about = measured.about
    print_ = about["fingerprint"]
    return Baseline(
        key=BaselineKey(plan.name, plan.config.variant, plan.suite),
        docs=BaselineDocs(
            ids=tuple(doc.doc_id for doc in docs),
            data_sha256=combined_sha256(doc.doc_hash for doc in docs),
            prompt_sha256=combined_sha256(doc.prompt_hash for doc in docs),
            target_sha256=combined_sha256(doc.target_hash for doc in docs),
            task_version=print_.get("task_version") or None,
            scorer_version=print_.get("scorer_version") or None,
        ),
        run=BaselineRun(
            dialect=print_.get("dialect"),
            message_format=print_.get("message_format"),
            num_fewshot=print_.get("num_fewshot"),
            gen_kwargs=print_.get("gen_kwargs", {}),
            chat_template_sha256=print_.get("chat_template_sha256"),
            settings=print_.get("settings", {}),
            model=about["model"],
            versions={"pytest-lmmeval": version("pytest-lmmeval")},
            limit=plan.config.limit,
        ),
        quality=BaselineQuality(
            measured.counts.failed, measured.counts.truncated, measured.counts.unparsed
        ),
        by=BaselineOrigin(
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            commit=os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA"),
        ),
    )


def _without_digests(now: Baseline, then: Baseline) -> Baseline:
    """Leave the digests out of the comparison, because some docs could not be read.

    A doc whose image is broken has no prompt. It counts as failed, and must not make the baseline
    look like that of other data.
    """
    digests = ("data_sha256", "prompt_sha256", "target_sha256")
    return replace(now, docs=replace(now.docs, **{d: getattr(then.docs, d) for d in digests}))


def _readable_baseline(path: Path) -> Baseline | None:
    """Return the baseline there; a damaged one (a merge conflict, say) is as good as none."""
    try:
        return read_baseline(path)
    except BaselineError:
        return None


def is_updated(plan: TaskPlan, gate: GatePlan) -> bool:
    """Whether the user asked for this gate's baseline to be written."""
    glob = plan.config.update_baseline
    if glob is None:
        return False
    names = (plan.name, gate.key, f"{plan.name}::{gate.key}", f"{plan.key}::{gate.key}")
    return any(fnmatch.fnmatchcase(name, glob) for name in names)


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
