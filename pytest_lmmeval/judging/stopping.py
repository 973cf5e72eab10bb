"""Tasks that are measured no further: who decides it, and how workers come to know.

A process that measures watches its own samples as they come (``gates.watch``), and the one that
sees all samples watches them as parts arrive. Under xdist that is the controller, and xdist has no
way to tell its workers to leave out a test; so a file in a folder of the run says it, which workers
look for before and while they measure a part. A worker that does not see the folder, on another
machine, goes on to the end, and the verdict is the same.

A part of a stopped task is skipped, but its docs are read: their fingerprints tell a worse model
from other data.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.gates.watch import Stop, Watch
from pytest_lmmeval.gates.watched_gate import SeenDoc
from pytest_lmmeval.judging.watching import Sending, watch_of
from pytest_lmmeval.pipeline.shards import first_doc
from pytest_lmmeval.plans.early_ends import is_watched
from pytest_lmmeval.plans.task_plans import Part, TaskPlan
from pytest_lmmeval.records import Sample
from pytest_lmmeval.tasks.task import Task


class Stopped(LmmError):
    """The task is measured no further; the text says why.

    Attributes:
        samples: What was measured of the part until then.
    """

    samples: Sequence[Sample] = ()


@dataclass
class Stopping:
    """The stopped tasks of a run.

    Attributes:
        run_id: The same in all processes of the run, and not to be guessed.
        stops: By plan, why it was stopped.
    """

    run_id: str
    stops: dict[str, Stop] = field(default_factory=dict)
    _watches: dict[str, Watch] = field(default_factory=dict)

    def look(
        self,
        part: Part,
        task: Task,
        sending: Sending,
        docs: Sequence[SeenDoc],
        *,
        after: int = 0,
        remote: bool,
        waits: bool = True,
    ) -> None:
        """Look at docs of a part.

        Args:
            part: The part.
            task: Its task, for the scale of metrics.
            sending: How its docs are sent.
            docs: What was measured of neighbouring docs; see ``Watch.add``.
            after: How many docs of the part are sent before these.
            remote: Whether other processes measure, too.
            waits: Whether docs are kept where docs before them are missing; see ``Watch.add``.
        """
        plan = part.plan
        if not is_watched(plan) or plan.key in self.stops:
            return
        if plan.key not in self._watches:
            self._watches[plan.key] = watch_of(plan, task, sending)
        place = first_doc(part.index, plan.parts, sending.docs) + after
        stop = self._watches[plan.key].add(place, docs, waits=waits)
        if stop is not None:
            self.stops[plan.key] = stop
            if remote:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._sign(plan).write_text(stop.reason, encoding="utf-8")

    def reason(self, plan: TaskPlan) -> str | None:
        """Return why a plan's parts are not to be measured any more, if so. In any process."""
        stop = self.stops.get(plan.key)
        if stop is not None:
            return stop.reason
        try:
            return self._sign(plan).read_text(encoding="utf-8")
        except OSError:
            return None

    def clear(self) -> None:
        """Remove the run's signs."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return Path(tempfile.gettempdir()) / f"pytest-lmmeval-{self.run_id}-stopped"

    def _sign(self, plan: TaskPlan) -> Path:
        return self._folder / hashlib.sha256(plan.key.encode()).hexdigest()
