"""xdist: parts run on workers, gates run here, on the controller, when their parts are in.

``GateScheduling`` wraps whatever scheduler ``--dist`` asks for. Gates never wait for another
process, never run once per worker and never depend on how parts are grouped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pytest

    from pytest_lmmeval.items import GateItem


class Scheduling(Protocol):
    """The members of an xdist scheduler that are intercepted; the rest is passed through."""

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Take in what a worker collected."""

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Note that a worker has finished an item."""


class GateScheduling:
    """Keeps gates from the workers and runs them in this process.

    Workers collect gates last, so cutting them off leaves the indices valid that the inner
    scheduler sends to workers. Completions are looked up in the one accepted collection, because a
    replacement worker may finish items before its own collection is recorded.

    Attributes:
        _items: Node ids of what workers run, in order; None until the first worker has collected.
        _waiting: Gates that have not run, with the parts that they lack.
    """

    def __init__(self, inner: Scheduling, session: pytest.Session) -> None:
        self._inner = inner
        self._session = session
        self._items: list[str] | None = None
        self._waiting: dict[GateItem, set[str]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def add_node_collection(self, node: Any, collection: Sequence[str]) -> None:
        """Cut the gates off. Called by the ``DSession`` for every worker, replacements included."""
        if self._items is None:
            self._waiting = self._gates_among(collection)
            gates = {gate.nodeid for gate in self._waiting}
            self._items = [nodeid for nodeid in collection if nodeid not in gates]
        self._inner.add_node_collection(node, list(collection[: len(self._items)]))

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Pass on, then run the gates that have all their parts. Called by the ``DSession``."""
        self._inner.mark_test_complete(node, item_index, duration)
        if self._items is None:
            return
        done = self._items[item_index]
        for gate, lacking in list(self._waiting.items()):
            lacking.discard(done)
            if not lacking:
                self._run(gate)

    def run_undecided_gates(self) -> None:
        """Run the gates whose parts were lost with a worker; they fail as incomplete."""
        for gate in list(self._waiting):
            self._run(gate)

    def _gates_among(self, collection: Sequence[str]) -> dict[GateItem, set[str]]:
        if not any(nodeid.partition("::")[0].endswith((".yaml", ".yml")) for nodeid in collection):
            return {}
        # Deferred: a session without benchmarks must not pay for these.
        from pytest_lmmeval.controller_gates import gates_among

        return gates_among(collection, self._session)

    def _run(self, gate: GateItem) -> None:
        del self._waiting[gate]
        config = self._session.config
        config.hook.pytest_runtest_protocol(item=gate, nextitem=None)
        if self._session.shouldfail:
            # xdist counts the failures of workers only; this one was ours.
            dsession: Any = config.pluginmanager.get_plugin("dsession")
            dsession.shouldstop = self._session.shouldfail
