"""What a gate needs of a task's docs, from their records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_lmmeval.doc_records import DocRecord
from pytest_lmmeval.errors import BaselineError, nearest
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.tasks.task import Task


def metric_scores(measured: TaskLedger, gate: GatePlan, task: Task) -> MetricScores:
    """Return what a gate needs of a task's docs.

    A task may give a metric for some docs only, as MME gives each doc that of its category. Such a
    metric is made of these docs; a doc without an answer may be one of them.

    Raises:
        LmmError: No answered doc has a score for the gate's metric, or its aggregation failed.
    """
    metric, _, filter_name = gate.key.partition(",")
    scores = measured.scores(gate.key)
    result = measured.result(gate.key, task, scores) if scores else None
    docs = [doc for doc in measured.docs if doc.doc_id in scores or not _is_answered(doc)]
    counts = measured.counts
    if not scores and len(docs) < counts.total:
        known = measured.metric_keys()
        message = f"metric {gate.key} was not measured: {', '.join(known) or 'no score'}."
        raise BaselineError(message + nearest(gate.key, known))
    clustered = any(doc.cluster is not None for doc in docs)
    return MetricScores(
        task=measured.name,
        key=gate.key,
        higher_is_better=task.higher_is_better(metric),
        scale=task.scale(metric),
        doc_ids=[doc.doc_id for doc in docs],
        scores=_statistics([scores.get(doc.doc_id) for doc in docs], metric, task),
        value=result.value if result is not None else None,
        stderr=result.stderr if result is not None else None,
        clusters=[doc.cluster for doc in docs] if clustered else None,
        too_long=frozenset(doc.doc_id for doc in docs if _is_too_long(doc)),
        n_truncated=counts.truncated,
        n_unparsed=sum(filter_name in doc.unparsed for doc in docs),
    )


def _statistics(scores: Sequence[Any], metric: str, task: Task) -> list[Any]:
    """Return what resampling and the baseline need of the docs' scores; None stays None."""
    rows = iter(task.statistics(metric, [score for score in scores if score is not None]))
    return [None if score is None else next(rows) for score in scores]


def _is_answered(doc: DocRecord) -> bool:
    return doc.outcome != "failed" and not _is_too_long(doc)


def _is_too_long(doc: DocRecord) -> bool:
    """Whether the doc was not asked: an answer or prompt that was only cut has scores."""
    return doc.outcome == "truncated" and not doc.scores
