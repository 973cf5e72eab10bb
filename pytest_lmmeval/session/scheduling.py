"""xdist: parts run on workers, gates run here, on the controller, when their parts are in.

``GateScheduling`` wraps whatever scheduler ``--dist`` asks for. Gates never wait for another
process, never run once per worker and never depend on how parts are grouped. Parts that are lost
with a worker are put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from pytest_lmmeval.session.crashes import Crashes
from pytest_lmmeval.session.state import run_of

if TYPE_CHECKING:
    from pytest_lmmeval.session.controller_gates import Collected
    from pytest_lmmeval.session.items import GateItem, PartItem


class Scheduling(Protocol):
    """The members of an xdist scheduler that are intercepted; the rest is passed through."""

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take in what a worker collected."""

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Note that a worker has finished an item."""

    def schedule(self) -> None:
        """Give the workers something to do."""

    def mark_test_pending(self, item: str) -> None:
        """Put an item back that no worker has any more."""

    def remove_node(self, node: Any) -> str | None:
        """Take a worker out, and return what it was running when it died."""


def _benchmarks(collection: Sequence[str], session: pytest.Session) -> Collected | None:
    """Return the benchmarks that workers collected; None where there are none."""
    if not any(nodeid.partition("::")[0].endswith((".yaml", ".yml")) for nodeid in collection):
        return None
    run_of(session.config)  # imports what a benchmark needs, at less cost than a plain import
    # Deferred: a session without benchmarks must not pay for these.
    from pytest_lmmeval.session.controller_gates import benchmarks_among

    return benchmarks_among(collection, session)


class GateScheduling:
    """Keeps gates from the workers and runs them in this process.

    Workers collect gates last, so cutting them off leaves the indices valid that the inner
    scheduler sends to workers. Completions are looked up in the one accepted collection, because a
    replacement worker may finish items before its own collection is recorded.

    Attributes:
        _items: Node ids of what workers run, in order; None until the first worker has collected.
        _waiting: Gates that have not run, with the parts that they lack.
        _undecided: Gates for which docs are asked again when the workers are through, and the
            speeds that come behind them.
        _parts: Node ids of all parts.
        _crashes: What was lost with workers.
        _has_begun: Whether workers have got something to do.
    """

    def __init__(self, inner: Scheduling, session: pytest.Session) -> None:
        self._inner = inner
        self._session = session
        self._items: list[str] | None = None
        self._waiting: dict[GateItem, set[str]] = {}
        self._undecided: list[GateItem] = []
        self._parts: frozenset[str] = frozenset()
        self._crashes = Crashes()
        self._has_begun = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Cut the gates off. Called by the ``DSession`` for every worker, replacements included."""
        if self._items is None:
            self._waiting = self._take_benchmarks(collection)
            gates = {gate.nodeid for gate in self._waiting}
            self._items = [nodeid for nodeid in collection if nodeid not in gates]
        self._inner.add_node_collection(node, list(collection[: len(self._items)]))

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Pass on, then run the gates that have all their parts. Called by the ``DSession``."""
        # What is sent to a worker that just died is noted as its own, and put back with the rest.
        with suppress(OSError):
            self._inner.mark_test_complete(node, item_index, duration)
        if self._items is not None:
            self._complete(self._items[item_index])

    def _complete(self, done: str) -> None:
        for gate, lacking in list(self._waiting.items()):
            lacking.discard(done)
            if not lacking:
                del self._waiting[gate]
                self._run_or_put_off(gate)

    def schedule(self) -> None:
        """Pass on; called again for each worker that replaces a dead one.

        A worker runs an item when it has another one, and gets just one unit by this, which may be
        a single item: it would wait for ever.
        """
        # As in mark_test_complete; the replacement of a dead worker makes it schedule again.
        with self._without_those_that_still_collect(), suppress(OSError):
            self._inner.schedule()
            if self._has_begun and self._parts and hasattr(self._inner, "assigned_work"):
                self._inner.schedule()
        self._has_begun = True

    @contextmanager
    def _without_those_that_still_collect(self, but: object = None) -> Iterator[None]:
        """Hide the workers that cannot be given anything yet, ``but`` one.

        The schedulers that hand out units would give one to a replacement that is coming up, as
        soon as another one has collected, or has died, and fail for want of its collection.
        """
        assigned: dict[Any, Any] = getattr(self._inner, "assigned_work", {})
        known = getattr(self._inner, "registered_collections", assigned)
        hidden = {
            node: assigned.pop(node)
            for node in list(assigned)
            if node not in known and node is not but
        }
        try:
            yield
        finally:
            assigned.update(hidden)

    def remove_node(self, node: Any) -> str | None:
        """Pass on, and put the part back that was lost. Called by the ``DSession``."""
        if self._parts:
            self._drop_finished_units(node)
        unit, running = _running_in_unit(self._inner, node)
        if running is None:
            lost = self._take_out(node, _first_pending(self._inner, node))
            if lost in self._parts and self._crashes.is_measured(lost):
                self._complete(lost)
                return None
            if lost in self._parts and not self._lose(lost, node):
                # A scheduler of the user's own may not know how; then the gates are incomplete.
                with suppress(NotImplementedError):
                    self._inner.mark_test_pending(lost)
            return lost
        if running in self._parts and self._lose(running, node):
            unit[running] = True
            self._take_out(node, running)
            return running
        return self._take_out(node, running)

    def _take_out(self, node: Any, running: str | None) -> str | None:
        """Take a worker out of the inner scheduler, which sends what it had to the others.

        Another one may have died since. What it is sent is noted as its own, and put back when
        xdist hears of its death.
        """
        with self._without_those_that_still_collect(but=node):
            try:
                return self._inner.remove_node(node)
            except OSError:
                return running

    def report_crash(self, report: pytest.TestReport, worker: str) -> str | None:
        """Make xdist's report of what was lost true.

        Returns:
            What the summary should say of it; None for what is no part, or fails for it.
        """
        return self._crashes.report(report, worker) if report.nodeid in self._parts else None

    def run_undecided_gates(self) -> None:
        """Run the gates that are left when the workers are through.

        Docs that are asked again are asked by this process: only it knows that they are to be, and
        no worker is left that would ask at the same time. Gates whose parts were lost with a worker
        fail as incomplete.
        """
        asked: set[PartItem] = set()
        for gate in [*self._undecided, *self._waiting]:
            parts = [part for part in gate.further if part not in asked and gate in self._undecided]
            asked.update(parts)
            self._session.testscollected += len(parts)  # which the terminal's percentages are of
            for part, following in zip_longest(parts, parts[1:]):
                self._session.config.hook.pytest_runtest_protocol(item=part, nextitem=following)
            self._run(gate)
        self._waiting.clear()

    def _drop_finished_units(self, node: Any) -> None:
        """Forget what a dead worker has finished.

        Its units would all be queued again, and a worker that gets a finished one waits for ever.
        """
        units = _units(self._inner, node)
        for scope, unit in list(units.items()):
            for nodeid in unit:
                if not unit[nodeid] and self._crashes.is_measured(nodeid):
                    unit[nodeid] = True
                    self._complete(nodeid)
            if all(unit.values()):
                del units[scope]

    def _lose(self, part: str, node: Any) -> bool:
        """Note that a worker died while it ran a part; return whether the part is given up."""
        return self._crashes.lose(part, alone=node.workerinput["lmm_replaces"])

    def _take_benchmarks(self, collection: Sequence[str]) -> dict[GateItem, set[str]]:
        found = _benchmarks(collection, self._session)
        if found is None:
            return {}
        # Deferred, as above.
        from pytest_lmmeval.session.controller_gates import look_ahead
        from pytest_lmmeval.session.lost_machines import allow_for_lost_machines

        allow_for_lost_machines(self._session.config)
        self._parts = frozenset(found.parts)
        hooks: Any = self._session.config.pluginmanager.get_plugin("lmmeval-hooks")
        hooks.take_benchmarks(self._session.config, list(found.gates), found.parts)
        self._session.config.pluginmanager.register(self._crashes, "lmmeval-crashes")
        terminal: Any = self._session.config.pluginmanager.get_plugin("terminalreporter")
        for line in look_ahead(self._session.config, found.gates) if terminal is not None else []:
            terminal.write_line(line)
        return found.gates

    def _run_or_put_off(self, gate: GateItem) -> None:
        """Run a gate, unless docs are asked again for it, or for one that it comes behind."""
        side = gate.gate.side
        behind = side is not None and side.is_speed and bool(self._undecided)
        if behind or gate.wants_more:
            self._undecided.append(gate)
        else:
            self._run(gate)

    def _run(self, gate: GateItem) -> None:
        config = self._session.config
        config.hook.pytest_runtest_protocol(item=gate, nextitem=None)
        if self._session.shouldfail:
            # xdist counts the failures of workers only; this one was ours.
            dsession: Any = config.pluginmanager.get_plugin("dsession")
            dsession.shouldstop = self._session.shouldfail


def _running_in_unit(inner: Scheduling, node: Any) -> tuple[dict[str, bool], str | None]:
    """Return the unit that a worker is in, and the item that it runs; None if it runs none.

    The schedulers that hand out units (a file, a class, a group) queue a dead worker's unit again,
    with the item that killed it; they skip what is marked as done in it. They describe
    ``assigned_work`` as an attribute; other schedulers have none.
    """
    for unit in _units(inner, node).values():
        for nodeid, is_done in unit.items():
            if not is_done:
                return unit, nodeid
    return {}, None


def _first_pending(inner: Scheduling, node: Any) -> str | None:
    """Return the item that a worker runs, for the schedulers that hand out single items."""
    pending = getattr(inner, "node2pending", {}).get(node)
    collection: Sequence[str] | None = getattr(inner, "collection", None)
    return collection[pending[0]] if pending and collection else None


def _units(inner: Scheduling, node: Any) -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = getattr(inner, "assigned_work", {}).get(node, {})
    return found


class EachRefusing:
    """Ends a run with ``--dist each`` that has benchmarks in it."""

    def __init__(self, inner: Scheduling, session: pytest.Session) -> None:
        self._inner = inner
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Pass on what is no benchmark.

        Raises:
            pytest.UsageError: A worker collected a benchmark.
        """
        found = _benchmarks(collection, self._session)
        if found is not None and (found.parts or found.gates):
            raise pytest.UsageError(
                "--dist each: every worker would ask the model every doc, and the samples of all "
                "would be one task's. Use --dist load, or run pytest once in each environment."
            )
        self._inner.add_node_collection(node, collection)
