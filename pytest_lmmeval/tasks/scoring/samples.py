"""What is kept of a doc once it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmmeval.records import Outcome, Response, Sample
from pytest_lmmeval.tasks.asked import Asked
from pytest_lmmeval.tasks.data.task_data import TaskData, missing_column
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.calls import user_function
from pytest_lmmeval.tasks.functions.user_functions import Functions
from pytest_lmmeval.tasks.prompts.fields import Doc
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet
from pytest_lmmeval.tasks.scoring.filter_chain import Filtered
from pytest_lmmeval.tasks.values import is_media, plain, text_digest


class SampleBuilder:
    """Builds the samples of a task.

    Args:
        config: The task.
        fields: Its fields.
        data: Its docs.
        functions: Its modules.
    """

    def __init__(
        self, config: TaskConfig, fields: FieldSet, data: TaskData, functions: Functions
    ) -> None:
        self._config = config
        self._fields = fields
        self._data = data
        self._functions = functions

    def build(
        self,
        doc_id: int,
        doc: Doc,
        responses: Sequence[Response],
        filtered: Mapping[str, Filtered],
        scores: Mapping[str, Any],
        asked: Asked,
    ) -> Sample:
        """Return a doc's sample.

        Args:
            doc_id: The doc's id.
            doc: The doc as scoring sees it.
            responses: One per instance.
            filtered: By filter, what it made of them; empty for a doc that failed.
            scores: By ``"metric,filter"``.
            asked: What is kept of the requests.

        Raises:
            TaskError: A function of the task failed.
            DataError: The column that ``cluster_key`` names is not there.
        """
        target, target_hash = self._target(doc, doc_id)
        media = self._data.docs.media
        unparsed = tuple([name for name, made in filtered.items() if any(made.missed)])
        return Sample(
            doc_id=doc_id,
            outcome=_outcome(responses, is_unparsed=0 < len(filtered) == len(unparsed)),
            scores=scores,
            responses=tuple(responses),
            filtered={name: plain(made.values) for name, made in filtered.items()},
            target=target,
            doc={k: plain(v) for k, v in doc.items() if k not in media and not is_media(v)},
            arguments=list(asked.arguments),
            doc_hash=asked.doc_hash,
            prompt_hash=asked.prompt_hash,
            target_hash=target_hash,
            cluster=self._cluster(doc, doc_id, scores),
            unparsed=unparsed,
        )

    def clusters(self, doc_ids: Sequence[int]) -> dict[int, str] | None:
        """Return the docs' clusters by id; None if some show in the scores only."""
        if self._config.cluster_key is None:
            return {}
        found: dict[int, str] = {}
        for doc_id in doc_ids:
            cluster = self._cluster(self._data.docs.text_row(doc_id), doc_id, {})
            if cluster is None:
                return None
            found[doc_id] = cluster
        return found

    def _target(self, doc: Doc, doc_id: int) -> tuple[str, str]:
        if self._fields.target is None:
            return "", text_digest("")
        target = self._fields.target.read(doc, doc_id)
        shown = target
        if isinstance(target, int) and self._fields.choice is not None:
            choices = self._fields.read_choices(doc, doc_id)
            shown = choices[target] if 0 <= target < len(choices) else target
        return str(shown), text_digest(str(target))

    def _cluster(self, doc: Doc, doc_id: int, scores: Mapping[str, Any]) -> str | None:
        key = self._config.cluster_key
        if key is None:
            return None
        if not isinstance(key, str):
            function = user_function(key, "cluster_key", self._config.task, self._functions)
            return str(function.call(dict(doc), doc_id=doc_id))
        # lmms-eval looks for it in what process_results returned for a metric.
        places = [doc, *(score for score in scores.values() if isinstance(score, Mapping))]
        for place in places:
            if key in place:
                return str(place[key])
        if not scores:
            return None
        raise missing_column(self._config, "cluster_key", key, doc, ", which cluster_key names")


def _outcome(responses: Sequence[Response], *, is_unparsed: bool) -> Outcome:
    is_cut = False
    for response in responses:
        if response.failure is not None:
            return "failed"
        is_cut = is_cut or response.finish_reason == "length" or bool(response.truncated)
    if is_cut:
        return "truncated"
    return "unparsed" if is_unparsed else "scored"
