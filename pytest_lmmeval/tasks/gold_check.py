"""Looks at right answers that are given by their choice before anybody pays for a request."""

from __future__ import annotations

import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_lmmeval.errors import LmmError, TaskError
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import shown
from pytest_lmmeval.tasks.files.yaml_files import Origin
from pytest_lmmeval.tasks.prompts.fields import Doc, Field
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet
from pytest_lmmeval.tasks.scoring.gold import gold_index, is_there
from pytest_lmmeval.warnings import LmmWarning

_EXPECTED = "expected the index of a choice, its text, or a list of indices"


@dataclass
class GoldCheck:
    """Refuses a gold that is none, and tells once per task of golds that name no choice.

    Attributes:
        config: The task.
        fields: Its fields.
        doc: Returns a doc as scoring sees it.
        doc_ids: Returns the docs that are evaluated.
    """

    config: TaskConfig
    fields: FieldSet
    doc: Callable[[int], Doc]
    doc_ids: Callable[[], Sequence[int]]
    _told: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def check(self, doc: Doc, doc_id: int) -> None:
        """Check the gold of a doc, unless the task's own scoring is to make something of it.

        Raises:
            TaskError: It is neither an index, nor a text, nor a list of indices; of a task that
                generates, it is no index into its choices.
        """
        if not self._is_needed:
            return
        if self.config.output_type != "multiple_choice":
            self.fields.read_answer(doc, doc_id)
            return
        if self._names_a_choice(doc, doc_id):
            return
        with self._lock:
            if self._told:
                return
            self._told = True
        self._tell(doc, doc_id)

    @functools.cached_property
    def _is_needed(self) -> bool:
        """Whether the task is scored here, and golds point to choices."""
        kind = self.config.output_type
        points = kind.startswith("generate") and self.fields.choice is not None
        return not self.config.scores_itself and (kind == "multiple_choice" or points)

    def _names_a_choice(self, doc: Doc, doc_id: int) -> bool:
        gold = self.fields.read_gold(doc, doc_id)
        choices = self.fields.read_scored_choices(doc, doc_id)
        try:
            return is_there(gold_index(gold, choices))
        except TypeError as error:
            raise self._error(gold, doc_id) from error

    def _error(self, gold: Any, doc_id: int) -> TaskError:
        assert self._field is not None, "it was read"
        inner = gold if isinstance(gold, list | tuple) else [gold]
        hint = ""
        if any(value is None or isinstance(value, float) for value in inner):
            hint = "; a column with gaps holds null, or makes all of its numbers floats"
        return self._field.error(f"gave {shown(gold)}, {_EXPECTED}{hint}", doc_id)

    @property
    def _field(self) -> Field | None:
        return self.fields.text if self.fields.choices_in_prompt else self.fields.target

    def _tell(self, doc: Doc, doc_id: int) -> None:
        """Warn with the number of such docs, among all that are evaluated."""
        missing = [doc_id, *(i for i in self.doc_ids() if i != doc_id and self._is_missing(i))]
        first = min(missing)
        doc = doc if first == doc_id else self.doc(first)
        gold, choices = self.fields.read_gold(doc, first), self.fields.read_choices(doc, first)
        role = "doc_to_text" if self.fields.choices_in_prompt else "doc_to_target"
        at = self.config.origins.get(role, Origin(self.config.source, 1))
        message = (
            f"task {self.config.task!r}: {role} names a choice that is not there in {len(missing)} "
            f"of {len(self.doc_ids())} docs, first in doc {first}: {shown(gold)} of "
            f"{len(choices)} choices; it counts as wrong, whatever the model answers"
        )
        warnings.warn_explicit(message, LmmWarning, str(at.path), at.line)

    def _is_missing(self, doc_id: int) -> bool:
        # What else is wrong with a doc is told when it is its turn.
        with contextlib.suppress(LmmError, OSError):
            return not self._names_a_choice(self.doc(doc_id), doc_id)
        return False
