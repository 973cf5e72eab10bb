"""What a doc becomes in the lmms-eval dialect.

Two formats, as that tool has two kinds of models: "simple" puts all media before one text that
holds description, shots and question; "chat" asks the task's own ``doc_to_messages``, and where it
has none puts the media before the question alone.
"""

from __future__ import annotations

from typing import Any

from pytest_lmmeval.records import ImagePart, Message
from pytest_lmmeval.tasks.config import TaskConfig
from pytest_lmmeval.tasks.data import TaskData
from pytest_lmmeval.tasks.fewshot import Sampler
from pytest_lmmeval.tasks.fields import Doc, Field
from pytest_lmmeval.tasks.fieldset import FieldSet
from pytest_lmmeval.tasks.instances import Context
from pytest_lmmeval.tasks.media import image_part, image_parts, images_first, read_messages
from pytest_lmmeval.tasks.settings import TaskSettings
from pytest_lmmeval.tasks.turns import joined, message


class LmmsEvalPrompts:
    """Builds the prompts of a task.

    Args:
        config: The task.
        settings: The run's wishes.
        fields: The task's fields.
        data: Its docs and pool.
        sampler: Chooses the shots.
    """

    def __init__(
        self,
        config: TaskConfig,
        settings: TaskSettings,
        fields: FieldSet,
        data: TaskData,
        sampler: Sampler,
    ) -> None:
        self._config = config
        self._settings = settings
        self._fields = fields
        self._data = data
        self._sampler = sampler

    def contexts(self, doc: Doc, doc_id: int) -> list[Context]:
        """Return a doc's prompt, alone in a list: messages for a chat or images, else text.

        Raises:
            TaskError: A field of the task failed, or gave something that cannot be used.
            DataError: A column is not there.
        """
        return [self._context(doc, doc_id)]

    def _context(self, doc: Doc, doc_id: int) -> Context:
        fields = self._fields
        chat_format = self._settings.message_format == "chat"
        if fields.messages is not None and (chat_format or fields.text is None):
            value = fields.messages.read(doc, doc_id)
            return self._with_system(read_messages(value, fields.messages, doc_id))
        images = self._images(doc, doc_id)
        if chat_format and fields.visual is not None:
            text = str(fields.read_text(doc, doc_id))
        else:
            text = self._whole_text(doc, doc_id)
        if not images and not self._settings.as_messages:
            delimiter = self._config.fewshot_delimiter or ""
            return joined(self._settings.system_instruction, text, delimiter)
        return self._with_system((images_first(images, text),))

    def _with_system(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        instruction = self._settings.system_instruction
        return (message("system", instruction), *messages) if instruction else messages

    def _images(self, doc: Doc, doc_id: int) -> list[ImagePart]:
        field = self._fields.visual
        if field is None:
            return []
        if field.is_function:
            return image_parts(field.read(doc, doc_id), field, doc_id)
        # A column is one image, whatever it holds; a template makes no sense here.
        return [image_part(field.read_column(doc), field, doc_id)]

    def _whole_text(self, doc: Doc, doc_id: int) -> str:
        fields = self._fields
        description = "" if fields.description is None else fields.description.render(doc, doc_id)
        delimiter = self._config.fewshot_delimiter or ""
        shots = [self._shot(self._data.pool.row(i)) for i in self._sampler.indices(doc_id)]
        examples = delimiter.join(shots) + delimiter if shots else ""
        return description + examples + self._question(doc, doc_id)

    def _question(self, doc: Doc, doc_id: int) -> str:
        text = self._fields.read_text(doc, doc_id)
        if isinstance(text, int) and self._fields.choice is not None:
            return self._fields.read_choices(doc, doc_id)[text]
        return str(text)

    def _shot(self, doc: Doc) -> str:
        fields = self._fields
        question = "" if fields.shot_text is None else fields.shot_text.read(doc)
        target = "" if fields.shot_target is None else fields.shot_target.read(doc)
        if isinstance(target, list):
            target = target[0]
        question, target = (_chosen(value, fields.shot_choice, doc) for value in (question, target))
        return f"{question}{self._config.target_delimiter}{target}"


def _chosen(value: Any, choice: Field | None, doc: Doc) -> Any:
    if choice is None or isinstance(value, str):
        return value
    return choice.read(doc)[value]
