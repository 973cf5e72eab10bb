"""``--lmm-update-baseline``: what a run measured becomes what later runs are compared with."""

from __future__ import annotations

import datetime
import fnmatch
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import BaselineError
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
from pytest_lmmeval.gates.staleness import stale_fields
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.plans.calibration import Noise
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import TaskPlan


def is_updated(plan: TaskPlan, gate: GatePlan) -> bool:
    """Whether the user asked for this gate's baseline to be written."""
    glob = plan.config.update_baseline
    if glob is None:
        return False
    names = (plan.name, gate.key, f"{plan.name}::{gate.key}", f"{plan.key}::{gate.key}")
    return any(fnmatch.fnmatchcase(name, glob) for name in names)


def unmatched_glob(config: RunConfig, judged: Iterable[TaskPlan]) -> list[str]:
    """Tell a glob that matches nothing from one whose gates could not be written."""
    glob = config.update_baseline
    gates = [(plan, gate) for plan in judged for gate in plan.gates]
    if glob is None or not gates or any(is_updated(plan, gate) for plan, gate in gates):
        return []
    names = ", ".join(f"{plan.name}::{gate.key}" for plan, gate in gates)
    return [f"--lmm-update-baseline: {glob!r} matches none of {names}"]


@dataclass
class BaselineUpdates:
    """Writes baselines, gate by gate.

    Attributes:
        written: By plan and gate, the file that holds the gate's new baseline.
    """

    written: dict[tuple[str, str], str] = field(default_factory=dict)
    _replaced: dict[Path, Baseline | None] = field(default_factory=dict)

    def write(
        self, plan: TaskPlan, gate: GatePlan, scores: MetricScores, now: Baseline
    ) -> tuple[float, float | None]:
        """Write a gate's metric; others stay if they were measured the same way.

        Args:
            plan: The task's plan.
            gate: The gate.
            scores: What its metric measured.
            now: The baseline without metrics; see ``current_baseline``.

        Returns:
            The value that is accepted now, and the one that was before this run, if any.

        Raises:
            BaselineError: Docs failed, so that there is nothing to accept, or it cannot be written.
        """
        accepted = BaselineMetric.from_scores(scores)
        there = self._comparable(plan, now)
        if there is not None and (known := there.metrics.get(gate.key)) is not None:
            # What was measured about noise outlives a change of the values.
            measured = known.churn is not None
            accepted = replace(
                accepted,
                churn=known.churn,
                change_sd=known.change_sd,
                run_sd=known.run_sd,
                design_effect=known.design_effect if measured else accepted.design_effect,
            )
        return accepted.value, self.put(plan, gate, now, metric=accepted)

    def write_noise(
        self, plan: TaskPlan, gate: GatePlan, scores: MetricScores, now: Baseline, noise: Noise
    ) -> float:
        """Write the noise of a gate's metric; scores that were accepted stay, unless updated.

        Args:
            plan: The task's plan.
            gate: The gate.
            scores: What its metric measured in the first run.
            now: The baseline without metrics.
            noise: What differs between runs.

        Returns:
            The value that is accepted.

        Raises:
            BaselineError: There is nothing to accept, or it cannot be written.
        """
        there = self._comparable(plan, now)
        known = there.metrics.get(gate.key) if there is not None else None
        if there is None or known is None or is_updated(plan, gate):
            accepted = noise.put_on(BaselineMetric.from_scores(scores))
            self.put(plan, gate, now, metric=accepted)
            return accepted.value
        metrics = {**there.metrics, gate.key: noise.put_on(known)}
        write_baseline(plan.baseline, replace(there, metrics=metrics))
        self.written[plan.key, gate.key] = str(plan.baseline)
        return known.value

    def put(
        self,
        plan: TaskPlan,
        gate: GatePlan,
        now: Baseline,
        *,
        metric: BaselineMetric | None = None,
        number: float | None = None,
    ) -> float | None:
        """Write a metric, or a number beside the scores, under the gate's key.

        Args:
            plan: The task's plan.
            gate: The gate.
            now: The baseline without metrics.
            metric: What becomes of the metric, if the gate has one.
            number: What becomes of the number.

        Returns:
            The value that was there before this run, if any.

        Raises:
            BaselineError: It cannot be written.
        """
        previous = self._previous(plan)
        there = self._comparable(plan, now)
        metrics = dict(there.metrics) if there is not None else {}
        side = dict(there.side) if there is not None else {}
        if metric is not None:
            metrics[gate.key] = metric
        if number is not None:
            side[gate.key] = number
        origin = replace(now.by, previous=previous, reason=plan.config.update_reason)
        write_baseline(plan.baseline, replace(now, metrics=metrics, side=side, by=origin))
        self.written[plan.key, gate.key] = str(plan.baseline)
        return previous.get(gate.key)

    def _previous(self, plan: TaskPlan) -> dict[str, float]:
        # Gates of one task write one after the other, in any order; "previous" is before them all.
        there = _readable_baseline(plan.baseline)
        previous = self._replaced.setdefault(plan.baseline, there)
        if previous is None:
            return {}
        return {**{k: m.value for k, m in previous.metrics.items()}, **previous.side}

    @staticmethod
    def _comparable(plan: TaskPlan, now: Baseline) -> Baseline | None:
        """Return what is in the file, if it was measured the same way."""
        there = _readable_baseline(plan.baseline)
        return None if there is None or stale_fields(there, now) else there


def current_baseline(plan: TaskPlan, measured: TaskLedger) -> Baseline:
    """Return the baseline that this run would write, without metrics."""
    docs = measured.read_docs
    about = measured.about
    fingerprint = about["fingerprint"]
    return Baseline(
        key=BaselineKey(plan.name, plan.config.variant, plan.suite),
        docs=BaselineDocs(
            ids=tuple(doc.doc_id for doc in docs),
            data_sha256=combined_sha256(doc.doc_hash for doc in docs),
            prompt_sha256=combined_sha256(doc.prompt_hash for doc in docs),
            target_sha256=combined_sha256(doc.target_hash for doc in docs),
            task_version=fingerprint.get("task_version") or None,
            scorer_version=fingerprint.get("scorer_version") or None,
        ),
        run=_run(plan, about["model"], fingerprint),
        quality=BaselineQuality(
            measured.counts.failed, measured.counts.truncated, measured.counts.unparsed
        ),
        by=BaselineOrigin(
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            commit=os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA"),
        ),
    )


def _run(plan: TaskPlan, model: Mapping[str, Any], fingerprint: Mapping[str, Any]) -> BaselineRun:
    return BaselineRun(
        dialect=fingerprint.get("dialect"),
        message_format=fingerprint.get("message_format"),
        num_fewshot=fingerprint.get("num_fewshot"),
        gen_kwargs=fingerprint.get("gen_kwargs", {}),
        chat_template_sha256=fingerprint.get("chat_template_sha256"),
        settings=fingerprint.get("settings", {}),
        model=model,
        versions={"pytest-lmmeval": version("pytest-lmmeval")},
        limit=plan.config.limit,
    )


def _readable_baseline(path: Path) -> Baseline | None:
    """Return the baseline there; a damaged one (a merge conflict, say) is as good as none."""
    try:
        return read_baseline(path)
    except BaselineError:
        return None
