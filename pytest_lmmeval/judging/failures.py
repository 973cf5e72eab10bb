"""How a part or a gate fails: the exceptions that become a test's failure text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_lmmeval.doc_records import DocRecord, failure_of
from pytest_lmmeval.records import Sample, Verdict

# Docs that a failure message names; the samples file has them all.
DOCS_SHOWN = 10
# Ids alone take little room.
IDS_SHOWN = 500


class GateFailed(AssertionError):
    """A gate's verdict is FAIL (or UNDECIDED where that fails).

    Args:
        verdict: The verdict.
        lost: One line per doc that was lost, as far as they are shown.
    """

    def __init__(self, verdict: Verdict, lost: Sequence[str] = ()) -> None:
        self.verdict = verdict
        head = f"{verdict.outcome} {verdict.task}: {verdict.reason}"
        super().__init__("\n".join([head, *_flips(verdict), *lost, *verdict.notes]))


def _flips(verdict: Verdict) -> list[str]:
    """Return the ids of the docs that were lost and gained."""
    flips = (("lost", verdict.lost), ("gained", verdict.gained))
    return [f"  {name} docs: {_ids(ids)}" for name, ids in flips if ids]


def _ids(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:IDS_SHOWN]))
    return shown if len(ids) <= IDS_SHOWN else f"{shown}, … {len(ids) - IDS_SHOWN} more"


def lost_lines(docs: Iterable[DocRecord], verdict: Verdict) -> list[str]:
    """Return a line per doc that was lost: what is right, and what the answer is now.

    Args:
        docs: Those of the task.
        verdict: Of one of its gates.
    """
    filter_name = verdict.key.partition(",")[2]
    wanted = set(verdict.lost)
    lines = [
        f"  lost doc {doc.doc_id}: expected {doc.target!r}, "
        f"found {doc.answers.get(filter_name, '')!r}"
        for doc in docs
        if doc.doc_id in wanted
    ]
    rest = len(lines) - DOCS_SHOWN
    return [*lines[:DOCS_SHOWN], *([f"  … and {rest} more"] if rest > 0 else [])]


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
        shown = [f"  doc {doc_id}: {failure}" for doc_id, failure in failed[:DOCS_SHOWN]]
        if len(failed) > DOCS_SHOWN:
            shown.append(f"  … and {len(failed) - DOCS_SHOWN} more")
        head = f"{len(failed)} of {total} docs got no answer; the others are scored"
        super().__init__("\n".join([head, *shown]))


def failed_docs(samples: Sequence[Sample]) -> list[tuple[int, str]]:
    """Return id and failure of every doc that got no answer."""
    failed = (sample for sample in samples if sample.outcome == "failed")
    return [(sample.doc_id, failure_of(sample) or "no answer") for sample in failed]
