"""The requests of a doc."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_lmmeval.records import Instance, Message, RequestType
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.output_types import request_type
from pytest_lmmeval.tasks.prompts.fields import Doc
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet

Context: TypeAlias = "str | tuple[Message, ...]"


@dataclass(frozen=True)
class InstanceBuilder:
    """Builds the requests of a task's docs.

    Attributes:
        config: The task.
        fields: Its fields.
        gen_kwargs: The generation arguments of its requests.
        chat: Whether prompts are chats.
    """

    config: TaskConfig
    fields: FieldSet
    gen_kwargs: Mapping[str, Any]
    chat: bool

    def build(
        self, doc: Doc, doc_id: int, contexts: Sequence[Context], *, first: int = 0
    ) -> list[Instance]:
        """Return a doc's requests: of each instance, its repeats.

        Args:
            doc: The doc.
            doc_id: Its id.
            contexts: Its prompt; one per choice where the choices are put into the prompt.
            first: Index of the first of them among all requests of the doc.

        Raises:
            TaskError: A target or the choices are not what the output type needs.
        """
        return [
            Instance(
                task=self.config.task,
                doc_id=doc_id,
                idx=idx,
                request_type=self._request_type,
                context=context,
                continuation=continuation,
                gen_kwargs=self.gen_kwargs,
                repeat=repeat,
                dialect=self.config.dialect,
            )
            for idx, (context, continuation) in enumerate(
                self._pairs(doc, doc_id, contexts), start=first
            )
            for repeat in range(self.config.repeats)
        ]

    @property
    def _request_type(self) -> RequestType:
        return request_type(self.config.output_type)

    def _pairs(
        self, doc: Doc, doc_id: int, contexts: Sequence[Context]
    ) -> Iterator[tuple[Context, str]]:
        """Yield the context and continuation of each instance."""
        if self.config.output_type == "multiple_choice":
            yield from self._choices(doc, doc_id, contexts)
        elif self.config.output_type == "loglikelihood":
            # The target brings its own white space; no delimiter is added.
            yield contexts[0], self.fields.read_target_text(doc, doc_id)
        elif self.config.output_type == "loglikelihood_rolling":
            yield self.fields.read_target_text(doc, doc_id), ""
        else:
            yield contexts[0], ""

    def _choices(
        self, doc: Doc, doc_id: int, contexts: Sequence[Context]
    ) -> Iterator[tuple[Context, str]]:
        choices = self.fields.read_scored_choices(doc, doc_id)
        delimiter = self._delimiter()
        if self.fields.choices_in_prompt:
            target = self.fields.read_target(doc, doc_id)
            yield from ((context, f"{delimiter}{target}") for context in contexts)
        else:
            yield from ((contexts[0], f"{delimiter}{choice}") for choice in choices)
        if any(metric.name == "acc_mutual_info" for metric in self.config.metrics):
            # How likely each choice is without the question.
            bare = "" if self.config.dialect == "lmms_eval" else delimiter
            yield from (("", f"{bare}{choice}") for choice in choices)

    def _delimiter(self) -> str:
        """Return what stands between prompt and choice.

        In a chat of lm-eval a new turn does, unless the answer goes on from a ``gen_prefix``.
        """
        config = self.config
        if config.dialect == "lmms_eval" or not self.chat:
            return config.target_delimiter
        prefix = config.gen_prefix
        return config.target_delimiter if prefix and not prefix[-1].isspace() else ""
