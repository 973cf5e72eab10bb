"""What building a prompt needs, in either dialect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from pytest_lmmeval.tasks.data.task_data import TaskData
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.instances import Context
from pytest_lmmeval.tasks.parity import Differences
from pytest_lmmeval.tasks.prompts.fewshot import Sampler
from pytest_lmmeval.tasks.prompts.fields import Doc
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet
from pytest_lmmeval.tasks.settings import TaskSettings


@dataclass
class PromptBuilder(ABC):
    """Builds the prompts of a task; each dialect has its own.

    Attributes:
        config: The task.
        settings: The run's wishes.
        fields: The task's fields.
        data: Its docs and pool.
        sampler: Chooses the shots.
        differences: What is done unlike the peer.
    """

    config: TaskConfig
    settings: TaskSettings
    fields: FieldSet
    data: TaskData
    sampler: Sampler
    differences: Differences

    @abstractmethod
    def contexts(self, doc: Doc, doc_id: int) -> list[Context]:
        """Return the prompts of a doc: messages for a chat or for images, else text.

        One prompt, or one per choice where the choices are put into it.

        Raises:
            TaskError: A field of the task failed, or gave something that cannot be used.
            DataError: A column is not there.
        """

    @property
    def delimiter(self) -> str:
        """What stands between shots in plain text."""
        return self.config.fewshot_delimiter or ""
