"""From a task's docs to its requests, and what is kept of these until the doc is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_lmmeval.errors import DataError, RequestError
from pytest_lmmeval.records import Instance, Response
from pytest_lmmeval.tasks.asked import Asked, remember, remember_more
from pytest_lmmeval.tasks.data.task_data import TaskData
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.generation import generation_kwargs
from pytest_lmmeval.tasks.gold_check import GoldCheck
from pytest_lmmeval.tasks.instances import InstanceBuilder
from pytest_lmmeval.tasks.parity import Differences
from pytest_lmmeval.tasks.prompts.fewshot import make_sampler
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet
from pytest_lmmeval.tasks.prompts.lm_eval_prompts import LmEvalPrompts
from pytest_lmmeval.tasks.prompts.lmms_eval_prompts import LmmsEvalPrompts
from pytest_lmmeval.tasks.prompts.model_arguments import ModelArguments
from pytest_lmmeval.tasks.prompts.rounds import OUTPUT_TYPE as SEVERAL_ROUNDS
from pytest_lmmeval.tasks.prompts.rounds import Rounds
from pytest_lmmeval.tasks.scoring.answers import repeats_of
from pytest_lmmeval.tasks.settings import TaskSettings
from pytest_lmmeval.tasks.values import digest, plain


class Asking:
    """Builds the requests of docs.

    Args:
        config: The task's configuration.
        settings: What the run wants.
        data: The task's data.
        fields: What the configuration asks of a doc.
        arguments: What the task says for the model under test.
        differences: Where the peer is followed, and where not.
        doc_ids: The docs that are evaluated.
        doc: A doc as the task's scoring sees it.
    """

    def __init__(
        self,
        config: TaskConfig,
        settings: TaskSettings,
        data: TaskData,
        fields: FieldSet,
        arguments: ModelArguments,
        differences: Differences,
        doc_ids: Callable[[], Sequence[int]],
        doc: Callable[[int], dict[str, Any]],
    ) -> None:
        self._config = config
        self._settings = settings
        self._data = data
        sampler = make_sampler(
            config, data, self.num_fewshot, settings.fewshot_seed, doc_ids, differences
        )
        prompts = LmmsEvalPrompts if config.dialect == "lmms_eval" else LmEvalPrompts
        self._prompts = prompts(config, settings, fields, data, sampler, differences)
        self._rounds: Rounds | None = None
        if config.output_type == SEVERAL_ROUNDS and isinstance(self._prompts, LmmsEvalPrompts):
            self._rounds = Rounds(config, self._prompts, arguments.prompt)
        self.gen_kwargs = generation_kwargs(config, arguments.generation, settings.gen_kwargs)
        self._told_kwargs = plain(self.gen_kwargs)
        self._builder = InstanceBuilder(config, fields, self.gen_kwargs, settings.as_messages)
        self._golds = GoldCheck(config, fields, doc, doc_ids)
        self._asked: dict[int, Asked] = {}

    @property
    def num_fewshot(self) -> int:
        """Shots per doc. A task that says 0 stays at 0, as in both peers."""
        own, wanted = self._config.num_fewshot, self._settings.num_fewshot
        return own or 0 if own == 0 or wanted is None else wanted

    @property
    def has_rounds(self) -> bool:
        """Whether a doc may have further requests once it is answered."""
        return self._rounds is not None

    def instances(self, doc_id: int) -> list[Instance]:
        """Return the requests of a doc. See ``Task.instances``."""
        try:
            raw, doc = self._data.docs.both(doc_id)
        except OSError as error:
            raise RequestError("media", f"doc {doc_id} of {self._config.task}: {error}") from error
        except DataError as error:
            raise self._config.data_error(self._data.named_by, str(error)) from error
        rolling = self._config.output_type == "loglikelihood_rolling"
        contexts = [] if rolling else self._prompts.contexts(doc, doc_id)
        built = self._builder.build(doc, doc_id, contexts)
        self._golds.check(doc, doc_id)
        self._asked[doc_id] = remember(built, raw, self._told_kwargs)
        return built

    def next_instances(self, doc_id: int, responses: Sequence[Response]) -> list[Instance]:
        """Return the requests of a doc's next round. See ``Task.next_instances``."""
        if self._rounds is None:
            return []
        doc = self._data.docs.row(doc_id)
        context = self._rounds.next_context(doc, doc_id, responses)
        if context is None:
            return []
        built = self._builder.build(doc, doc_id, [context], first=len(responses))
        self._asked[doc_id] = remember_more(self._asked[doc_id], built, self._told_kwargs)
        return built

    def answers(self, doc_id: int, responses: Sequence[Response]) -> list[list[Any]]:
        """Return the answers of each instance of a doc; its rounds are one answer together."""
        if self._rounds is not None:
            return [[self._rounds.outputs(doc_id, responses)]]
        return repeats_of(responses, self._config.repeats)

    def what_was_asked(self, doc_id: int) -> Asked:
        """Return a doc's digests, and let go of them."""
        asked = self._asked.pop(doc_id, None)
        if asked is not None:
            return asked
        # This process did not build the doc's requests, or it could not.
        try:
            self.instances(doc_id)
        except RequestError:
            return Asked((), digest([]), digest(self._data.docs.text_row(doc_id)))
        return self._asked.pop(doc_id)
