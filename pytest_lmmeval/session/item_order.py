"""In which order the items of a run come, whatever order they were collected or shuffled in."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_lmmeval.plans.early_ends import is_watched
from pytest_lmmeval.session.gate_families import parts_to_await
from pytest_lmmeval.session.items import GateItem, PartItem


def in_sending_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Put the parts of each task in their own order, in the places that they have.

    Whether a task may end early is seen in the order in which its docs are sent, so that a plugin
    that shuffles tests would hide it until the first part is through.
    """
    parts: dict[str, list[PartItem]] = {}
    for item in items:
        if isinstance(item, PartItem) and is_watched(item.plan):
            parts.setdefault(item.plan.key, []).append(item)
    ordered = {key: iter(sorted(own, key=lambda p: p.part.index)) for key, own in parts.items()}
    return [
        next(ordered[item.plan.key])
        if isinstance(item, PartItem) and item.plan.key in ordered
        else item
        for item in items
    ]


def gates_behind_parts(rest: Sequence[pytest.Item], gates: Sequence[GateItem]) -> list[pytest.Item]:
    """Merge, each gate as soon as its last part is through, behind the repeats it may want."""
    rest = [item for item in rest if not (isinstance(item, PartItem) and item.repeats)]
    place = {item: i for i, item in enumerate(rest)}
    due: dict[int, list[pytest.Item]] = {}
    repeats: set[pytest.Item] = set()
    for gate in gates:
        new = [part for part in gate.further if part not in repeats]
        repeats.update(new)
        due.setdefault(max(place[part] for part in gate.parts), []).extend(new)
    for gate, parts in parts_to_await(gates).items():
        due.setdefault(max(place[part] for part in parts), []).append(gate)
    return [item for i, part in enumerate(rest) for item in (part, *due.get(i, []))]
