"""Which docs become shots.

The choice must not depend on who asks for it: shots of a doc are those that lm-eval gives it in a
run over all docs in one process. Its samplers draw from one random stream per task, once per doc in
doc order, so the stream is advanced in that order here too, whatever docs are asked for.
"""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import dataclass, field
from typing import Protocol

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks.config import TaskConfig
from pytest_lmmeval.tasks.data import TaskData
from pytest_lmmeval.tasks.specs import function_name

SAMPLERS = ("default", "first_n")


class Sampler(Protocol):
    """Chooses shots."""

    def indices(self, doc_id: int) -> list[int]:
        """Return the indices in the pool of a doc's shots, in the order they are shown."""


@dataclass
class NoShots:
    """The sampler of a task without shots; opens no pool."""

    def indices(self, doc_id: int) -> list[int]:
        """Return no index."""
        return []


@dataclass
class _PoolSampler:
    """What the samplers share.

    Attributes:
        config: The task.
        data: Its docs and pool.
        count: Shots per doc.
        spare: Whether one more is drawn, because the doc itself may be among them.
        drop_self: Whether copies of the doc are dropped.
    """

    config: TaskConfig
    data: TaskData
    count: int
    spare: bool
    drop_self: bool

    @property
    def drawn(self) -> int:
        return self.count + self.spare

    def is_copy(self, index: int, doc_id: int) -> bool:
        """Whether a doc of the pool equals the doc that is asked about."""
        docs = self.data.docs
        # lmms-eval compares with the doc without its images, so one with images has no copies.
        without = self.config.dialect == "lmms_eval" and not self.config.process_results_use_image
        return self.data.pool.raw(index) == (docs.text_row(doc_id) if without else docs.raw(doc_id))

    def check_size(self) -> int:
        size = len(self.data.pool)
        if size < self.drawn:
            message = f"num_fewshot is {self.count}, but the shots come from {size} docs"
            spare = " and one of them may be the doc itself" if self.spare else ""
            raise self.config.error("num_fewshot", message + spare)
        return size


@dataclass
class FirstShots(_PoolSampler):
    """The first docs of the pool."""

    def indices(self, doc_id: int) -> list[int]:
        """Return the first indices, without copies of the doc where those are dropped."""
        size = self.check_size()
        first = range(self.drawn if self.config.dialect == "lmms_eval" else size)
        kept = (i for i in first if not (self.drop_self and self.is_copy(i, doc_id)))
        chosen = list(itertools.islice(kept, self.count))
        if len(chosen) < self.count and self.config.dialect == "lm_eval":
            message = f"num_fewshot is {self.count}, but only {len(chosen)} docs can be shots"
            raise self.config.error("num_fewshot", message)
        return chosen


@dataclass
class RandomShots(_PoolSampler):
    """Docs drawn from the task's random stream.

    Attributes:
        seed: Seed of the stream.
    """

    seed: int = 1234
    _stream: random.Random = field(init=False)
    _chosen: list[list[int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._stream = random.Random(self.seed)

    def indices(self, doc_id: int) -> list[int]:
        """Return the doc's draw, after those of all docs before it."""
        with self._lock:
            while len(self._chosen) <= doc_id:
                self._chosen.append(self._draw(len(self._chosen)))
            chosen = self._chosen[doc_id]
        if self.config.dialect == "lmms_eval":
            return [i for i in chosen if not self.is_copy(i, doc_id)][: self.count]
        return chosen

    def _draw(self, doc_id: int) -> list[int]:
        size = self.check_size()
        drawn = self._stream.sample(range(size), self.drawn)
        if self.config.dialect == "lmms_eval" or not self.drop_self:
            return drawn
        kept = [index for index in drawn if not self.is_copy(index, doc_id)][: self.count]
        if len(kept) < self.count:
            # Several copies of the doc were drawn. lm-eval 0.4.13 then draws again without them.
            others = [index for index in range(size) if not self.is_copy(index, doc_id)]
            kept = self._stream.sample(others, self.count)
        return kept


def make_sampler(config: TaskConfig, data: TaskData, count: int, seed: int) -> Sampler:
    """Return a task's sampler.

    Whether the doc that is asked about is kept out of its own shots follows the peers: lm-eval does
    so when the names of few-shot and test split are equal, also when both are missing; lmms-eval
    always drops it, and draws a spare one under the same condition.

    Raises:
        TaskError: The task names a sampler that there is not.
    """
    if count == 0:
        return NoShots()
    sampler = config.fewshot_config.sampler
    if not isinstance(sampler, str):
        raise _refused(config, f"the sampler class {function_name(sampler)} is not supported", "")
    if sampler not in SAMPLERS:
        known = ", ".join(SAMPLERS)
        raise _refused(config, f"sampler {sampler!r} is not one of {known}.", sampler)
    same_name = (config.fewshot_config.split or config.fewshot_split) == config.test_split
    drop_self = same_name or config.dialect == "lmms_eval"
    if sampler == "first_n":
        spare = same_name and config.dialect == "lmms_eval"
        return FirstShots(config, data, count, spare, drop_self)
    return RandomShots(config, data, count, same_name, drop_self, seed)


def _refused(config: TaskConfig, message: str, name: str) -> TaskError:
    return config.error("fewshot_config", f"fewshot_config: {message}{nearest(name, SAMPLERS)}")
