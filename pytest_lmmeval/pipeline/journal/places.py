"""Which file a run keeps its answers in, for how long, and which answers of it count."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import JournalError, ModelUnavailable, nearest
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.journal.replay import Replay
from pytest_lmmeval.pipeline.journal.siblings import Siblings
from pytest_lmmeval.pipeline.journal.store import Store

FOLDER = ".lmmeval"
JOURNAL = "journal.sqlite"
CACHE = "cache.sqlite"
# Seconds after which the answers of a run that was not resumed go: a week.
_KEPT = 7 * 24 * 3600.0
_IN_VAIN = (
    "--lmm-cache-requests has no effect: requests are built while others are answered, so there is "
    "nothing to cache"
)


@dataclass
class Journals:
    """The journals of one process of a run.

    Attributes:
        config: What the user asked for.
        run: Name of the run, the same in all of its processes.
        siblings: The run's other processes.
    """

    config: RunConfig
    run: str
    siblings: Siblings = field(default_factory=Siblings)
    _opened: list[Journal] = field(default_factory=list, init=False, repr=False)
    _stand_ins: dict[int, tuple[LM, Replay]] = field(default_factory=dict, init=False, repr=False)
    _is_left: bool = field(default=False, init=False, repr=False)
    _problems: list[str] = field(default_factory=list, init=False, repr=False)

    @property
    def path(self) -> Path:
        """The file."""
        config, folder = self.config, self.config.root / FOLDER
        if isinstance(config.replay, Path):
            return config.replay
        if isinstance(config.use_cache, Path):
            return config.use_cache
        if config.use_cache or (config.replay and (folder / CACHE).is_file()):
            return folder / CACHE
        return folder / JOURNAL

    @property
    def is_for_good(self) -> bool:
        """Whether answers stay when the run is over."""
        return bool(self.config.use_cache or self.config.replay)

    def open(self) -> Journal:
        """Return a journal for one pipeline, which closes it.

        Where the project's folder cannot be written, it keeps nothing, and ``problem`` says so.

        Raises:
            JournalError: The file that the user named cannot be used.
        """
        config = self.config
        try:
            store = self._store()
        except JournalError as error:
            if self.is_for_good or config.resume:
                raise
            self._problems.append(f"{error}; no answer is kept, and a crash would cost them all")
            return Journal()
        journal = Journal(
            store,
            reuse=bool(config.resume or self.is_for_good),
            takes_over=config.resume and not self.is_for_good,
            siblings=self.siblings,
        )
        self._opened.append(journal)
        return journal

    def _store(self) -> Store:
        path = self.path
        if path.parent == self.config.root / FOLDER:
            _make_ignored(path.parent)
        return Store(path, self.run)

    def stand_in(self, model: LM) -> LM:
        """Return who is asked: the model, or with ``--lmm-replay`` one that is not there.

        Raises:
            JournalError: The journal cannot be read.
            ModelUnavailable: There is none, or it has no run of the model.
        """
        if not self.config.replay or isinstance(model, Replay):
            return model
        if id(model) not in self._stand_ins:
            # With the model, so that no other one gets its id.
            self._stand_ins[id(model)] = model, self._replay(model)
        return self._stand_ins[id(model)][1]

    def _replay(self, model: LM) -> Replay:
        if not self.path.is_file():
            beside = [path.name for path in self.path.parent.glob("*.sqlite")]
            raise ModelUnavailable(
                f"--lmm-replay: there is no journal {self.path}.{nearest(self.path.name, beside)} A"
                " run with --lmm-use-cache keeps its answers for good"
            )
        store = self._store()
        try:
            return Replay(model, store)
        finally:
            store.close()

    def problem(self) -> str | None:
        """Return why answers are not kept; the first call only."""
        found = [*self._problems, *(j.problem for j in self._opened if j.problem is not None)]
        told, self._problems = found[:1], []
        for journal in self._opened:
            journal.problem = None
        return told[0] if told else None

    def finish(self, *, clean: bool) -> None:
        """Drop what no run will need, in the process that sees the run's end.

        Args:
            clean: Whether everything that was to be measured was, and answered.
        """
        if self.is_for_good or not self.path.is_file():
            return
        try:
            store = Store(self.path, self.run)
            try:
                store.forget(older_than=time.time() - _KEPT, own=clean)
                self._is_left = not clean and store.has_own()
            finally:
                store.close()
        except JournalError as error:
            self._problems.append(str(error))

    def notices(self, recalled: int) -> list[str]:
        """Return what the reader should know at the end.

        Args:
            recalled: How many answers were there.
        """
        problem = self.problem()
        lines = {
            f"{recalled} answers were in {self.path}: nothing was sent for them": recalled > 0,
            f"what was answered is in {self.path}: --lmm-resume asks for the rest": self._is_left,
            _IN_VAIN: bool(self.config.cache_requests),
            str(problem): problem is not None,
        }
        return [line for line, is_so in lines.items() if is_so]


def _make_ignored(folder: Path) -> None:
    """Make the folder, of which git shall see nothing.

    Raises:
        JournalError: It cannot be made.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror or error}") from error
