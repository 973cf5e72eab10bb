"""The requests of a doc."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
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
        config, kind = self.config, self._request_type
        return [
            Instance(
                task=config.task,
                doc_id=doc_id,
                idx=idx,
                request_type=kind,
                context=context,
                continuation=continuation,
                gen_kwargs=self.gen_kwargs,
                repeat=repeat,
                dialect=config.dialect,
            )
            for idx, (context, continuation) in enumerate(
                self._pairs(doc, doc_id, contexts), start=first
            )
            for repeat in range(config.repeats)
        ]

    @functools.cached_property
    def _request_type(self) -> RequestType:
        return request_type(self.config.output_type)

    def _pairs(
        self, doc: Doc, doc_id: int, contexts: Sequence[Context]
    ) -> list[tuple[Context, str]]:
        """Return the context and continuation of each instance."""
        if self.config.output_type == "multiple_choice":
            return self._choices(doc, doc_id, contexts)
        if self.config.output_type == "loglikelihood":
            # The target brings its own white space; no delimiter is added.
            return [(contexts[0], self.fields.read_target_text(doc, doc_id))]
        if self.config.output_type == "loglikelihood_rolling":
            return [(self.fields.read_target_text(doc, doc_id), "")]
        return [(contexts[0], "")]

    def _choices(
        self, doc: Doc, doc_id: int, contexts: Sequence[Context]
    ) -> list[tuple[Context, str]]:
        choices = self.fields.read_scored_choices(doc, doc_id)
        delimiter = self._delimiter
        pairs: list[tuple[Context, str]]
        if self.fields.choices_in_prompt:
            target = self.fields.read_target(doc, doc_id)
            pairs = [(context, f"{delimiter}{target}") for context in contexts]
        else:
            pairs = [(contexts[0], f"{delimiter}{choice}") for choice in choices]
        if self._is_asked_bare:
            bare = "" if self.config.dialect == "lmms_eval" else delimiter
            pairs += [("", f"{bare}{choice}") for choice in choices]
        return pairs

    @functools.cached_property
    def _is_asked_bare(self) -> bool:
        """Whether it is asked how likely each choice is without the question."""
        return any(metric.name == "acc_mutual_info" for metric in self.config.metrics)

    @functools.cached_property
    def _delimiter(self) -> str:
        """Return what stands between prompt and choice.

        In a chat of lm-eval a new turn does, unless the answer goes on from a ``gen_prefix``.
        """
        config = self.config
        if config.dialect == "lmms_eval" or not self.chat:
            return config.target_delimiter
        prefix = config.gen_prefix
        return config.target_delimiter if prefix and not prefix[-1].isspace() else ""
