"""What one metric measured in a run, doc by doc, as a gate and a baseline take it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, SupportsFloat, TypeGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricScores:
    """One metric of one task, with what each doc brought to it.

    Attributes:
        task: Name of the task.
        key: ``"metric,filter"``.
        higher_is_better: The metric's direction.
        scale: The metric's full score, 1 or 100 for example; None if it has no upper end.
        doc_ids: The docs of the run, each once, in any order.
        scores: Per doc what goes into the aggregation: a number, None where the doc failed, or
            anything else where the metric is not made of numbers (BLEU, for example).
        value: The aggregate over the docs that were answered; None if there is none.
        stderr: Its standard error.
        clusters: Per doc the group it belongs to (several questions about one image); a doc with
            None stands alone. None if the task has no ``cluster_key``.
        n_truncated: Docs whose answer was cut.
        n_unparsed: Docs in whose answer no result was found.

    Raises:
        ValueError: The sequences differ in length, or a doc is there twice.
    """

    task: str
    key: str
    higher_is_better: bool
    scale: float | None
    doc_ids: Sequence[int]
    scores: Sequence[Any]
    value: float | None
    stderr: float | None = None
    clusters: Sequence[str | None] | None = None
    n_truncated: int = 0
    n_unparsed: int = 0

    def __post_init__(self) -> None:
        lengths = {len(self.doc_ids), len(self.scores), len(set(self.doc_ids))}
        if self.clusters is not None:
            lengths.add(len(self.clusters))
        if len(lengths) > 1:
            raise ValueError(f"{self.key}: expected one score and cluster for each of unique docs")

    @property
    def n(self) -> int:
        """All docs, failed ones included."""
        return len(self.doc_ids)

    @property
    def failed(self) -> tuple[int, ...]:
        """Ids of the docs that got no answer."""
        pairs = zip(self.doc_ids, self.scores, strict=True)
        return tuple(doc for doc, score in pairs if score is None)

    @property
    def numeric(self) -> bool:
        """Whether every answered doc brought a number."""
        return all(_is_number(score) for score in self.scores if score is not None)

    @property
    def not_finite(self) -> tuple[int, ...]:
        """Ids of the docs whose score is NaN or infinite."""
        pairs = zip(self.doc_ids, self.scores, strict=True)
        return tuple(
            doc for doc, score in pairs if _is_number(score) and not math.isfinite(float(score))
        )

    def answered(self) -> dict[int, float]:
        """Return the scores of the answered docs by id; only for numeric metrics."""
        pairs = zip(self.doc_ids, self.scores, strict=True)
        return {doc: float(score) for doc, score in pairs if score is not None}


def _is_number(score: object) -> TypeGuard[SupportsFloat]:
    # The protocol is slow to check, so it is asked last. NumPy's numbers are not all registered as
    # Real (its bool is not), and its arrays are no numbers although they have a __float__.
    return isinstance(score, float | int) or (
        isinstance(score, SupportsFloat) and getattr(score, "ndim", 0) == 0
    )
