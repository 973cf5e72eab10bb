"""What a doc becomes in the lm-eval dialect: description, shots and question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_lmmeval.tasks.data.media import image_parts, interleave
from pytest_lmmeval.tasks.instances import Context
from pytest_lmmeval.tasks.prompts.fields import Doc, Field
from pytest_lmmeval.tasks.prompts.prompt_builder import PromptBuilder
from pytest_lmmeval.tasks.prompts.turns import (
    Turn,
    answer_text,
    chat,
    joined,
    plain_text,
    question_turns,
)


@dataclass
class LmEvalPrompts(PromptBuilder):
    """Builds the prompts of a task as lm-eval does."""

    _shots: dict[int, list[Turn]] = field(default_factory=dict, init=False)

    def contexts(self, doc: Doc, doc_id: int) -> list[Context]:
        """Return the prompts of a doc: messages for a chat or for images, else text.

        One prompt, or one per choice where the choices are put into it.

        Raises:
            TaskError: A field of the task failed, or gave something that is no text.
            DataError: A column is not there.
        """
        before = [*self._system(doc, doc_id), *self._shot_turns(doc_id)]
        return [self._context([*before, *asked], doc, doc_id) for asked in self._asked(doc, doc_id)]

    def _context(self, turns: list[Turn], doc: Doc, doc_id: int) -> Context:
        fields, as_messages = self.fields.images, self.settings.as_messages
        if not fields and not as_messages:
            return plain_text(turns)
        if as_messages:
            messages = chat(turns, self.settings.fewshot_as_multiturn)
        else:
            messages = chat([Turn("user", plain_text(turns))], multiturn=True)
        if fields:
            images = [i for f in fields for i in image_parts(f.read(doc, doc_id), f, doc_id)]
            last = max(i for i, message in enumerate(messages) if message.role == "user")
            numbered = self.differences.images_by_number
            messages[last] = interleave(images, messages[last].text, numbered=numbered)
        return tuple(messages)

    def _system(self, doc: Doc, doc_id: int) -> list[Turn]:
        description = _optional(self.fields.description, doc, doc_id)
        instruction = self.settings.system_instruction
        if not description and not instruction:
            return []
        text = joined(instruction, description, self.delimiter)
        return [Turn("system", text)] if text else []

    def _asked(self, doc: Doc, doc_id: int) -> list[list[Turn]]:
        fields = self.fields
        prefix = _optional(fields.prefix, doc, doc_id)
        if fields.choices_in_prompt:
            choices = fields.read_choices(doc, doc_id)
            return [question_turns(c, prefix=prefix, target_delimiter="") for c in choices]
        question = "" if fields.text is None else fields.text.read_text(doc, doc_id)
        delimiter = self.config.target_delimiter
        return [question_turns(question, prefix=prefix, target_delimiter=delimiter)]

    def _shot_turns(self, doc_id: int) -> list[Turn]:
        turns = []
        for index in self.sampler.indices(doc_id):
            if index not in self._shots:
                # Each shot is shown with many docs, and rendering it costs more than looking it up.
                self._shots[index] = self._shot(self.data.pool.row(index))
            turns += self._shots[index]
        return turns

    def _shot(self, doc: Doc) -> list[Turn]:
        fields, config = self.fields, self.config
        shots = config.fewshot_config
        question = self._shot_question(doc)
        prefix = _optional(fields.shot_prefix, doc, None)
        between = _own(shots.target_delimiter, config.target_delimiter)
        after = _own(shots.fewshot_delimiter, config.fewshot_delimiter)
        answer = self._shot_answer(doc)
        return question_turns(
            question, answer, prefix=prefix, target_delimiter=between, fewshot_delimiter=after
        )

    def _shot_question(self, doc: Doc) -> str:
        fields = self.fields
        if fields.shot_text is None:
            return ""
        if not fields.choices_in_prompt or fields.shot_choice is None:
            return fields.shot_text.read_text(doc)
        chosen, choices = fields.shot_text.read(doc), fields.shot_choice.read(doc)
        try:
            return str(choices[chosen])
        except (IndexError, TypeError) as error:
            message = f"gave {chosen!r} for a shot, expected an index into {len(choices)} choices"
            raise fields.shot_text.error(message) from error

    def _shot_answer(self, doc: Doc) -> str | None:
        answers, choices = self.fields.shot_target, self.fields.shot_choice
        if self.fields.choices_in_prompt:
            choices = None
        target = None if answers is None else answers.read(doc)
        if answers is None or target is None or target == "":
            return None
        answer = answer_text(target, None if choices is None else choices.read(doc))
        if not isinstance(answer, str):
            raise answers.error(f"gave {target!r} for a shot, expected text")
        return answer


def _own(given: str | None, inherited: str | None) -> str:
    return (given if given is not None else inherited) or ""


def _optional(field: Field | None, doc: Doc, doc_id: int | None) -> Any:
    return None if field is None else field.read(doc, doc_id)
