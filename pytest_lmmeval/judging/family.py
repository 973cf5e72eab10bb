"""The gates of a run that tolerate no drop, which Holm's procedure judges as one family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.gates.verdict import own_p_value
from pytest_lmmeval.judging.accepted import accepted_baseline
from pytest_lmmeval.judging.gate_scores import metric_scores
from pytest_lmmeval.ledger import Ledger
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.tasks.task import Task


class Family:
    """Tells each gate of the family the p-values of the others.

    Args:
        ledger: What was measured.
        scorer: Gives a plan's task, for its metrics.

    Attributes:
        gates: The family, each gate with what computes its own p-value.
    """

    def __init__(self, ledger: Ledger, scorer: Callable[[TaskPlan], Task]) -> None:
        self.gates: Mapping[tuple[str, str], Callable[[], float | None]] = {}
        self._ledger = ledger
        self._scorer = scorer
        self._p_values: dict[tuple[str, str], float | None] = {}

    def others(self, place: tuple[str, str]) -> list[float | None]:
        """Return the p-values of the other gates; none for a gate that is not of the family.

        Args:
            place: The gate: its plan's key and its own.
        """
        if place not in self.gates:
            return []
        return [p_value() for other, p_value in self.gates.items() if other != place]

    def p_value(self, plan: TaskPlan, gate: GatePlan) -> float | None:
        """Return a gate's own p-value; None where its task has no (complete) numbers."""
        measured, place = self._ledger.tasks.get(plan.key), (plan.key, gate.key)
        if measured is None or measured.missing:
            return None
        if place not in self._p_values:
            try:
                task = self._scorer(plan)
                accepted = accepted_baseline(plan)[0] if gate.rule.baseline else None
                if accepted is None or gate.key not in accepted.metrics:
                    return None
                self._p_values[place] = own_p_value(
                    gate.rule,
                    metric_scores(measured, gate, task),
                    accepted.metrics[gate.key],
                    aggregate=partial(task.value_of_statistics, gate.key.partition(",")[0]),
                )
            except LmmError:
                return None
        return self._p_values[place]
