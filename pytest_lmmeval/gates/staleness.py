"""Whether a run can be compared with a baseline.

Two runs can be compared when they asked the same questions in the same way: everything in
``BaselineDocs`` must agree, and of ``BaselineRun`` the fields in ``COMPARED``. Model, engine,
versions and hardware are what a gate is there to judge; they are kept for the reader and never
make a baseline stale.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from pytest_lmmeval.gates.baseline import Baseline, BaselineDocs, ids_sha256
from pytest_lmmeval.records import JSON

COMPARED: Final = (
    "dialect",
    "message_format",
    "num_fewshot",
    "gen_kwargs",
    "chat_template_sha256",
    "settings",
)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that keeps two runs from being compared: its name, and both values, shortened."""

    field: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.field} {self.old} -> {self.new}"


def stale_fields(baseline: Baseline, current: Baseline) -> list[FieldChange]:
    """Return what keeps ``current`` from being compared with ``baseline``.

    Args:
        baseline: The accepted run.
        current: The baseline that the run now would write; of it ``key``, ``docs`` and ``run``
            are read.

    Returns:
        One change per field, in the file's order. A field that only one side records is a change.
    """
    pairs: list[tuple[str, object, object]] = [
        ("key.task", baseline.key.task, current.key.task),
        ("key.variant", baseline.key.variant, current.key.variant),
    ]
    old_docs, new_docs = baseline.docs, current.docs
    if tuple(old_docs.ids) != tuple(new_docs.ids):
        # Digests over other docs differ too, and would only hide what happened.
        old, new = _describe_ids(old_docs.ids), _describe_ids(new_docs.ids)
        pairs.append(("docs.ids", old, new))
        names = ["task_version", "scorer_version"]
    else:
        names = [entry.name for entry in fields(BaselineDocs) if entry.name != "ids"]
    pairs += [(f"docs.{name}", getattr(old_docs, name), getattr(new_docs, name)) for name in names]
    for name in COMPARED:
        old, new = getattr(baseline.run, name), getattr(current.run, name)
        pairs += (
            _by_key(f"run.{name}", old, new)
            if isinstance(old, Mapping)
            else [(f"run.{name}", old, new)]
        )
    return [FieldChange(name, _short(old), _short(new)) for name, old, new in pairs if old != new]


def _by_key(
    where: str, old: Mapping[str, JSON], new: Mapping[str, JSON]
) -> list[tuple[str, object, object]]:
    # Through JSON, so that a tuple equals the list that the file made of it.
    old, new = json.loads(json.dumps(dict(old))), json.loads(json.dumps(dict(new)))
    return [(f"{where}.{key}", old.get(key), new.get(key)) for key in sorted({*old, *new})]


def _describe_ids(ids: Sequence[int]) -> str:
    return f"{len(ids)} docs ({ids[0]} to {ids[-1]}, {ids_sha256(ids)[:8]})" if ids else "no docs"


def _short(value: object) -> str:
    if value is None:
        return "(not recorded)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == 64 and all(digit in "0123456789abcdef" for digit in text):
        return f"{text[:8]}…"
    return text if len(text) <= 60 else f"{text[:57]}…"
