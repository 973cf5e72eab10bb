"""Which docs become shots.

The choice must not depend on who asks for it: shots of a doc are those that the peer gives it in a
run over all docs in one process. The peers' samplers draw from one random stream per task, once per
doc in doc order, so the stream is advanced in that order here too, whatever docs are asked for.

Where shots come from the evaluated split, the peers may show a doc its own answer. Here such a shot
is dropped, and one more is drawn behind the others from a stream that belongs to this doc alone.
The task's stream goes on as if nothing had happened, so all other docs keep the peer's shots.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks.data.task_data import TaskData
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.specs import function_name
from pytest_lmmeval.tasks.parity import Differences

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
        same_name: Whether the task gives few-shot and test split the same name, or none to either.
            It is how the peers tell that one more is to be drawn.
        never_own: Whether a doc is kept out of its own shots wherever they come from its split.
    """

    config: TaskConfig
    data: TaskData
    count: int
    same_name: bool
    never_own: bool

    @property
    def of_lmms_eval(self) -> bool:
        return self.config.dialect == "lmms_eval"

    def is_copy(self, index: int, doc_id: int) -> bool:
        """Whether a doc of the pool equals the one that is asked about, as the peer compares."""
        docs = self.data.docs
        # lmms-eval compares with the doc without its images, so one with images has no copies.
        without = self.of_lmms_eval and not self.config.process_results_use_image
        return self.data.pool.raw(index) == (docs.text_row(doc_id) if without else docs.raw(doc_id))

    def is_left_out(self, index: int, doc_id: int) -> bool:
        """Whether a doc of the pool may not be a shot of the one that is asked about."""
        if self.never_own and self._of_evaluated_split:
            return self.data.pool.raw(index) == self.data.docs.raw(doc_id)
        return (self.same_name or self.of_lmms_eval) and self.is_copy(index, doc_id)

    @functools.cached_property
    def _of_evaluated_split(self) -> bool:
        return self.data.pool_split == self.config.eval_split

    def check_size(self, drawn: int) -> int:
        size = len(self.data.pool)
        if size < drawn:
            message = f"num_fewshot is {self.count}, but the shots come from {size} docs"
            spare = " and one of them may be the doc itself" if drawn > self.count else ""
            raise self.config.error("num_fewshot", message + spare)
        return size

    def too_few(self, found: int) -> TaskError:
        message = f"num_fewshot is {self.count}, but only {found} docs can be shots"
        return self.config.error("num_fewshot", message)


@dataclass
class FirstShots(_PoolSampler):
    """The first docs of the pool."""

    def indices(self, doc_id: int) -> list[int]:
        """Return the first indices, without those that are left out for the doc."""
        short = self.of_lmms_eval and not self.never_own
        drawn = self.count + (self.same_name and short)
        size = self.check_size(drawn)
        # lmms-eval looks no further than what it took, and shows fewer shots then.
        first = range(drawn if short else size)
        kept = (index for index in first if not self.is_left_out(index, doc_id))
        chosen = list(itertools.islice(kept, self.count))
        if len(chosen) < self.count and not short:
            raise self.too_few(len(chosen))
        return chosen


@dataclass
class RandomShots(_PoolSampler):
    """Docs drawn from the task's random stream.

    Attributes:
        seed: Seed of the stream.
        drawn_for: Returns the docs that the stream is advanced for, in ascending order; None
            stands for all docs, which makes the shots independent of those that are asked for.
    """

    seed: int = 1234
    drawn_for: Callable[[], Sequence[int]] | None = None
    _stream: random.Random = field(init=False)
    _drawn: list[list[int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._stream = random.Random(self.seed)

    def indices(self, doc_id: int) -> list[int]:
        """Return the doc's draw, after those of all docs before it."""
        docs = range(doc_id + 1) if self.drawn_for is None else self.drawn_for()
        place = bisect.bisect_left(docs, doc_id)
        with self._lock:
            while len(self._drawn) <= place:
                self._drawn.append(self._draw(docs[len(self._drawn)]))
            drawn = self._drawn[place]
        if self.same_name and not self.of_lmms_eval:
            return drawn
        kept = [index for index in drawn if not self.is_left_out(index, doc_id)][: self.count]
        if len(kept) < self.count and self.never_own:
            own_stream = random.Random(f"{self.seed}:{doc_id}")
            kept += self._others(doc_id, kept, self.count - len(kept), own_stream)
        return kept

    def _draw(self, doc_id: int) -> list[int]:
        """Draw as the peer does, and no more than it does, so that the stream stays its own."""
        size = self.check_size(self.count + self.same_name)
        drawn = self._stream.sample(range(size), self.count + self.same_name)
        if self.of_lmms_eval or not self.same_name:
            return drawn
        kept = [index for index in drawn if not self.is_copy(index, doc_id)][: self.count]
        if len(kept) < self.count:
            # Several copies of the doc were drawn. lm-eval 0.4.13 then draws again without them.
            kept = self._others(doc_id, [], self.count, self._stream)
        return kept

    def _others(
        self, doc_id: int, taken: Sequence[int], count: int, stream: random.Random
    ) -> list[int]:
        pool = [index for index in range(len(self.data.pool)) if index not in taken]
        others = [index for index in pool if not self.is_left_out(index, doc_id)]
        if len(others) < count:
            raise self.too_few(len(taken) + len(others))
        return stream.sample(others, count)


def make_sampler(
    config: TaskConfig,
    data: TaskData,
    count: int,
    seed: int,
    asked: Callable[[], Sequence[int]],
    differences: Differences,
) -> Sampler:
    """Return a task's sampler.

    The peers keep the doc that is asked about out of its own shots in some cases only: lm-eval does
    so when the names of few-shot and test split are equal, also when both are missing; lmms-eval
    always drops one that has no images, and draws a spare one under the same condition.

    Args:
        config: The task.
        data: Its docs and pool.
        count: Shots per doc.
        seed: Seed of the task's random stream.
        asked: Returns the ids of the docs that the run evaluates, in ascending order.
        differences: What is done unlike the peer.

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
    never_own = differences.own_doc_is_no_shot
    if sampler == "first_n":
        return FirstShots(config, data, count, same_name, never_own)
    drawn_for = None if differences.shots_are_fixed else asked
    return RandomShots(config, data, count, same_name, never_own, seed, drawn_for)


def _refused(config: TaskConfig, message: str, name: str) -> TaskError:
    return config.error("fewshot_config", f"fewshot_config: {message}{nearest(name, SAMPLERS)}")
