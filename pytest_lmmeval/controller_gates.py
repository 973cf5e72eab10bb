"""Gates for the controller of an xdist run, which collects nothing itself.

Files are planned the same way as in a worker; that needs neither data nor model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from pytest_lmmeval.collection import (
    BrokenFile,
    GroupFile,
    SuiteFile,
    collector_at,
    named_tasks,
)
from pytest_lmmeval.items import GateItem
from pytest_lmmeval.selection import YAML_SUFFIXES


def gates_among(collection: Sequence[str], session: pytest.Session) -> dict[GateItem, set[str]]:
    """Rebuild the gates among node ids that workers collected.

    Returns:
        The gates in the workers' order, each with the node ids of the parts that it needs.
    """
    files = _files(dict.fromkeys(nodeid.partition("::")[0] for nodeid in collection), session)
    gates = {gate.nodeid: gate for file in files for gate in _gates_in(file)}
    return {
        gates[nodeid]: {part.nodeid for part in gates[nodeid].parts}
        for nodeid in collection
        if nodeid in gates
    }


def _files(names: Iterable[str], session: pytest.Session) -> list[pytest.Collector]:
    """Make the collectors that the workers' node ids begin with."""
    config = session.config
    files: dict[str, pytest.Collector] = {file.nodeid: file for file in named_tasks(session)}
    for name in names:
        path = config.rootpath / name
        if name not in files and path.suffix in YAML_SUFFIXES and path.is_file():
            files[name] = collector_at(path, session)
    return [file for name, file in files.items() if name in names]


def _gates_in(collector: pytest.Collector) -> list[GateItem]:
    if isinstance(collector, BrokenFile):
        return []
    if isinstance(collector, SuiteFile | GroupFile):
        return [gate for task in collector.collect() for gate in _gates_in(task)]
    return [item for item in collector.collect() if isinstance(item, GateItem)]
