"""From the filtered responses of a doc to its scores, as each peer does it."""

from __future__ import annotations

import contextlib
import random
import string
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_lmmeval.tasks.data.task_data import TaskData
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.specs import MetricSpec
from pytest_lmmeval.tasks.functions.calls import UserFunction, seeded, seeded_for, user_function
from pytest_lmmeval.tasks.functions.judge_use import asks_in_code
from pytest_lmmeval.tasks.functions.user_functions import Functions, describe
from pytest_lmmeval.tasks.output_types import LIKELIHOOD_METRICS
from pytest_lmmeval.tasks.parity import OURS, Differences
from pytest_lmmeval.tasks.prompts.fields import Doc
from pytest_lmmeval.tasks.prompts.fieldset import FieldSet
from pytest_lmmeval.tasks.scoring.metrics import Metric, make_metrics, metric_error
from pytest_lmmeval.tasks.scoring.reasoning import strip_reasoning
from pytest_lmmeval.tasks.values import NotBuiltinError, to_builtins

# lm-eval 0.4.13 asks a task three times for its name, and each time draws a random one of eight
# letters first, in case there is none.
_DRAWN_BEFORE_SCORING = 3 * 8


class Scorer:
    """Scores the docs of a task.

    Args:
        config: The task.
        fields: Its fields.
        data: Its docs.
        functions: Its modules.
        differences: What is done unlike the peer.

    Attributes:
        expanded: By the name of each score that a metric's function returned in a mapping, the
            metric's entry.

    Raises:
        TaskError: A metric is unknown, or gets an argument that it does not take.
    """

    def __init__(
        self,
        config: TaskConfig,
        fields: FieldSet,
        data: TaskData,
        functions: Functions,
        differences: Differences = OURS,
    ) -> None:
        self._config = config
        self._differences = differences
        self._fields = fields
        self._data = data
        self._functions = functions
        self._metrics = make_metrics(config, functions)
        self._several_targets: bool | None = None
        self.expanded: dict[str, MetricSpec] = {}

    @contextlib.contextmanager
    def one_stream(self, seeds: tuple[int | None, int | None]) -> Iterator[None]:
        """Score all docs in this context.

        Where the peer's random numbers are wanted they begin at ``seeds`` (Python's, NumPy's) in
        it and run on from doc to doc, as in a run of this task alone.
        """
        if self._differences.random_numbers_per_doc:
            yield
            return
        with seeded(*seeds):
            if self._config.dialect == "lm_eval":
                random.choices(string.ascii_letters, k=_DRAWN_BEFORE_SCORING)
            yield

    def _seeded(self, doc_id: int) -> contextlib.AbstractContextManager[None]:
        if self._differences.random_numbers_per_doc or asks_in_code(self._config):
            # Code that asks a judge is called several times, and must ask the same each time.
            return seeded_for(f"{self._config.task}:{doc_id}")
        return contextlib.nullcontext()

    def check_metrics(self) -> None:
        """Load the metrics that are not built in.

        Raises:
            TaskUnavailable: One cannot be had.
        """
        for metric in self._metrics:
            metric.check()

    def doc(self, doc_id: int) -> dict[str, Any]:
        """Return a doc as scoring sees it.

        lmms-eval scores without images unless the task asks for them; elsewhere they are left out
        where only templates and built-in metrics look at the doc.
        """
        config, docs = self._config, self._data.docs
        if config.dialect == "lmms_eval":
            with_media = config.process_results_use_image
        else:
            target = self._fields.target
            with_media = config.process_results is not None or bool(target and target.is_function)
        return docs.row(doc_id) if with_media else docs.text_row(doc_id)

    def finish(self, value: Any) -> Any:
        """Return a filtered value as it is scored: lmms-eval takes reasoning out of it first."""
        tags = self._config.reasoning_tags
        if tags and isinstance(value, str):
            return strip_reasoning(value, tags)
        if tags and isinstance(value, list):
            return [strip_reasoning(v, tags) if isinstance(v, str) else v for v in value]
        return value

    def scores(self, doc: Doc, doc_id: int, values: list[Any]) -> dict[str, Any]:
        """Return a doc's scores under one filter, by metric.

        Args:
            doc: The doc as ``doc`` returned it.
            doc_id: Its id.
            values: The filtered value of each instance.

        Raises:
            TaskError: A function of the task failed, or returned something that cannot be kept.
        """
        generated = self._config.output_type not in LIKELIHOOD_METRICS
        # What a doc of several rounds keeps is a list, and comes to scoring as it is.
        if self._config.dialect == "lmms_eval" and self._config.output_type == "generate_until":
            values = _stripped(values)
        if self._config.process_results is not None:
            return self._processed(self._config.process_results, doc, doc_id, values)
        if not generated:
            return self._likelihood_scores(doc, doc_id, values)
        found: dict[str, Any] = {}
        target = self._fields.read_answer(doc, doc_id) if self._metrics else None
        for metric in self._metrics:
            for name, value in self._measured(metric, target, values, doc_id).items():
                found[name] = self._kept(value, name, doc_id, metric.function)
            values = self._for_next_metric(metric, target, values)
        return found

    def _likelihood_scores(self, doc: Doc, doc_id: int, values: list[Any]) -> dict[str, Any]:
        # Deferred: NumPy takes a run of other tasks 60 ms.
        from pytest_lmmeval.tasks.scoring.likelihoods import (
            ChoiceScores,
            rolling_scores,
            target_scores,
        )

        config, fields = self._config, self._fields
        names = [metric.name for metric in self._metrics]
        try:
            if config.output_type == "loglikelihood":
                found = target_scores(values)
            elif config.output_type == "loglikelihood_rolling":
                found = rolling_scores(values, fields.read_target_text(doc, doc_id))
            else:
                choices = fields.read_choices(doc, doc_id)
                gold = fields.read_gold(doc, doc_id)
                found = ChoiceScores(values, choices, gold).by_metric(names)
        except (TypeError, ValueError, IndexError) as error:
            message = f"doc {doc_id} cannot be scored: {describe(error)}"
            raise config.error("doc_to_target", message) from error
        return {name: self._kept(found[name], name, doc_id, None) for name in names}

    def _processed(self, value: Any, doc: Doc, doc_id: int, values: list[Any]) -> dict[str, Any]:
        config = self._config
        function = user_function(value, "process_results", config.task, self._functions)
        with self._seeded(doc_id):
            found = function.call(dict(doc), values, doc_id=doc_id)
        if not isinstance(found, Mapping):
            message = f"returned {type(found).__name__}, expected a mapping from metrics to scores"
            raise function.error(message, doc_id)
        return {
            str(name): self._kept(score, str(name), doc_id, function)
            for name, score in found.items()
        }

    def _kept(self, value: Any, name: str, doc_id: int, function: UserFunction | None) -> Any:
        try:
            return to_builtins(value)
        except NotBuiltinError as error:
            message = f"returned a score {name!r} that holds {error}; only numbers, text, lists "
            message += "and mappings can be kept"
            if function is None:
                raise self._config.error("metric_list", f"doc {doc_id}: {message}") from error
            raise function.error(message, doc_id) from error

    def _measured(
        self, metric: Metric, target: Any, values: list[Any], doc_id: int
    ) -> dict[str, Any]:
        measure = self._lm_eval_score
        if self._config.dialect == "lmms_eval":
            measure = self._lmms_score
        try:
            score = measure(metric, target, values, doc_id)
        except (TypeError, ValueError) as error:
            message = f"doc {doc_id}: {metric.name} failed: {describe(error)}"
            raise metric_error(self._config, metric.spec, message) from error
        if isinstance(score, Mapping):
            self.expanded.update({str(name): metric.spec for name in score})
            return {str(name): value for name, value in score.items()}
        return {metric.name: score}

    @property
    def _has_several_targets(self) -> bool:
        """Whether a doc has a list of right answers. The first doc decides for all, as there."""
        if self._several_targets is None:
            target = self._fields.read_target(self.doc(0), 0)
            self._several_targets = isinstance(target, list)
        return self._several_targets

    def _lm_eval_score(self, metric: Metric, target: Any, values: list[Any], doc_id: int) -> Any:
        result = values[0]
        one_by_one = metric.name == "exact_match" and isinstance(result, list)
        predictions = result if one_by_one else [result]
        if self._fields.choice is None and self._has_several_targets:
            return self._over_targets(metric, self._targets(target), predictions, doc_id)
        if self._fields.choice is None:
            target = self._cast(target, result)
        return metric.score(predictions, [target], doc_id)

    def _targets(self, target: Any) -> list[Any]:
        """Return the right answers of a doc whose task has several."""
        if isinstance(target, list | tuple) or not self._differences.text_is_one_target:
            return list(target)
        return [target]

    def _over_targets(
        self, metric: Metric, golds: list[Any], predictions: list[Any], doc_id: int
    ) -> Any:
        """Return a metric's score where there are several right answers."""
        best_counts = self._differences.best_target_counts
        if metric.is_of_corpus and best_counts:
            # It takes all references of a doc together.
            return metric.score(predictions, [golds], doc_id)
        scores = [_number(metric, metric.score(predictions, [gold], doc_id)) for gold in golds]
        if not best_counts:
            return 1.0 if any(scores) else 0.0
        known = [score for score in scores if score is not None]
        best = max if metric.spec.higher_is_better else min
        return best(known) if known else None

    def _for_next_metric(self, metric: Metric, target: Any, values: list[Any]) -> list[Any]:
        """Return the answers that the metric after this one gets."""
        if self._differences.each_metric_gets_the_answer or metric.name != "exact_match":
            return values
        several = self._fields.choice is None and self._has_several_targets
        if self._config.dialect == "lmms_eval" or not several:
            return values
        return [[values[0]] * len(self._targets(target))]

    def _cast(self, target: Any, result: Any) -> Any:
        if type(target) is type(result) or isinstance(result, list) or result is None:
            return target
        bypassed = any(metric.name == "bypass" for metric in self._metrics)
        return target if bypassed else type(result)(target)

    def _lmms_score(self, metric: Metric, target: Any, values: list[Any], doc_id: int) -> Any:
        several = self._fields.choice is None and self._has_several_targets
        if several:
            golds = self._targets(target)
        else:
            golds = target if isinstance(target, list) else [target]
        if several and metric.name != "anls":  # which takes the best of several itself
            return self._over_targets(metric, golds, values, doc_id)
        return _number(metric, metric.score(values, golds, doc_id))


def _number(metric: Metric, score: Any) -> Any:
    if not isinstance(score, Mapping):
        return score
    if metric.name not in score:
        raise TypeError(f"its function returned {', '.join(map(str, score))}, no {metric.name!r}")
    return score[metric.name]


def _stripped(values: list[Any]) -> list[Any]:
    """Return generated texts as lmms-eval scores them; of a list of repeats, the repeats."""
    texts = values[0] if isinstance(values[0], list) else values
    return ["" if v is None else v.strip() if isinstance(v, str) else v for v in texts]
