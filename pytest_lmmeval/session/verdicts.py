"""The gates of a run, in the process that sees everything: judged, entered into the table, told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_lmmeval.errors import LmmError, TaskUnavailable
from pytest_lmmeval.judging.failures import lost_lines
from pytest_lmmeval.judging.family import Family
from pytest_lmmeval.judging.forecasts import Forecasts
from pytest_lmmeval.judging.gate_rows import gate_row, pool_row
from pytest_lmmeval.judging.side_gates import wrong_elsewhere
from pytest_lmmeval.judging.stopping import Stopping
from pytest_lmmeval.judging.task_gates import Judge, NotJudged
from pytest_lmmeval.ledger import Ledger
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.pools import Pool
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.records import Verdict
from pytest_lmmeval.reports.table import GateRow
from pytest_lmmeval.tasks.task import Task

if TYPE_CHECKING:
    from pytest_lmmeval.judging.pool_gates import PoolJudge


class Verdicts:
    """Judges the gates of a run.

    Attributes:
        rows: The gates judged so far, by plan and gate.
        plans: The plans of which a gate was judged, by key.
        unavailable: By model or plan, why nothing can be measured with it, once that is so.
        forecasts: What the gates will be able to show.
    """

    def __init__(
        self, ledger: Ledger, stopping: Stopping, scorer: Callable[[TaskPlan], Task]
    ) -> None:
        self.rows: dict[tuple[str, str], GateRow] = {}
        self.plans: dict[str, TaskPlan] = {}
        self.unavailable: dict[str, str] = {}
        self.forecasts = Forecasts(scorer)
        self._scorer = scorer
        self._ledger = ledger
        self._family = Family(ledger, scorer)
        self._judge = Judge(
            ledger,
            self._family,
            stops=stopping.stops,
            elsewhere=lambda plan: wrong_elsewhere(plan, self.rows, self._models_of),
        )
        self._models_of: dict[tuple[str, str], frozenset[str]] = {}
        self._again: dict[str, str | None] = {}

    def judge(self, plan: TaskPlan, gate: GatePlan) -> Verdict:
        """Judge a gate, or write its baseline if that is what was asked for.

        Raises:
            NotJudged: There is nothing to judge, which is no defect; the text says why.
        """
        if plan.config.predict_only:
            raise NotJudged("not judged: --lmm-predict-only scores nothing")
        self.plans[plan.key] = plan
        refused = self._refused_for_power(plan, gate)
        try:
            task = self._scorer(plan)
        except TaskUnavailable as error:
            return self._judge.cannot_be_asked(plan, gate, str(error))
        try:
            no_model, unserved = (self.unavailable.get(k) for k in (plan.model_key, plan.key))
            if refused is not None:
                verdict = self._judge.refused(plan, gate, refused)
            elif unserved is not None and no_model is None:
                verdict = self._judge.cannot_be_asked(plan, gate, unserved)
            else:
                verdict = self._judge.judge(plan, gate, task, no_model)
        except NotJudged as skipped:
            if skipped.measured is not None:
                self._enter(plan, gate, task, skipped.measured, "no baseline")
            raise
        written = (plan.key, gate.key) in self.written
        self._enter(plan, gate, task, verdict, "written" if written else "")
        return verdict

    def why_not_again(self, plan: TaskPlan) -> str | None:
        """Return why a plan's docs are not to be asked again; None if a gate cannot tell yet."""
        if plan.key not in self._again:
            try:
                self._again[plan.key] = self._judge.why_not_again(plan, self._scorer(plan))
            except LmmError as error:
                self._again[plan.key] = str(error)
        return self._again[plan.key]

    def _refused_for_power(self, plan: TaskPlan, gate: GatePlan | None = None) -> str | None:
        found = self.forecasts.refusal(plan)
        if found is not None and found[0] is not gate:
            raise NotJudged(f"not measured: {found[0].key} is {found[1]}")
        return None if found is None else found[1]

    def _enter(
        self, plan: TaskPlan, gate: GatePlan, task: Task, verdict: Verdict, note: str
    ) -> None:
        self.rows[plan.key, gate.key] = gate_row(plan, gate, task, verdict, note)
        if gate.side is None:
            self._models_of[plan.key, gate.key] = frozenset([plan.model_key])

    def judge_pool(self, pool: Pool) -> Verdict:
        """Judge a gate over several tasks.

        Raises:
            NotJudged: There is nothing to judge, which is no defect; the text says why.
        """
        for member in pool.members:
            self._refused_for_power(member.plan, pool.gate)
        try:
            verdict = self._pools.verdict(pool, self.forecasts.of_pool(pool))
        except NotJudged as skipped:
            if skipped.measured is not None:
                self.rows[pool.place] = pool_row(
                    pool, self._scorer, skipped.measured, "no baseline"
                )
            raise
        self._models_of[pool.place] = pool.models
        self.rows[pool.place] = pool_row(pool, self._scorer, verdict)
        return verdict

    @cached_property
    def _pools(self) -> PoolJudge:
        # Deferred: most runs have no gate over several tasks.
        from pytest_lmmeval.judging.pool_gates import PoolJudge

        return PoolJudge(self._judge, self._scorer, self.unavailable)

    @property
    def written(self) -> Mapping[tuple[str, str], str]:
        """By plan and gate, the file that holds the gate's new baseline."""
        return self._judge.updates.written

    def p_value(self, plan: TaskPlan, gate: GatePlan) -> float | None:
        """Return a gate's own p-value of "nothing got worse"; None if there is none."""
        return self._family.p_value(plan, gate)

    def pool_p_value(self, pool: Pool) -> float | None:
        """Return a pooled gate's own p-value of "nothing got worse"; None if there is none."""
        return self._pools.p_value(pool)

    def tell_family(self, family: Mapping[tuple[str, str], Callable[[], float | None]]) -> None:
        """Take over the selected gates that tolerate no drop, each with its own p-value."""
        self._family.gates = family

    def lost_lines(self, plan: TaskPlan, verdict: Verdict) -> list[str]:
        """Name the docs that were lost."""
        return lost_lines(self._ledger.tasks[plan.key].docs, verdict)
