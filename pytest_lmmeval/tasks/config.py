"""A task's configuration: every key of both peers' task YAML, checked and with defaults filled in.

Reading a configuration opens no data set and imports no function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import DataError, TaskError, TaskUnavailable, nearest
from pytest_lmmeval.tasks.loader import Block, Document, Origin, load_source
from pytest_lmmeval.tasks.reasoning import Pairs, read_pairs
from pytest_lmmeval.tasks.schema import Dialect, check_dialect, check_keys, dialect_of
from pytest_lmmeval.tasks.specs import (
    FewshotSettings,
    FilterSpec,
    Function,
    MetricSpec,
    check_generation,
    generation_arguments,
    read_fewshot,
    read_filters,
    read_metrics,
)

OUTPUT_TYPES = (
    "generate_until",
    "multiple_choice",
    "loglikelihood",
    "loglikelihood_rolling",
    "generate_until_multi_round",
    "generate_until_agentic",
    "generate_visual_cot",
)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """One task YAML after includes and overrides.

    The fields are the YAML's keys, as documented by the peers; ``gates``, ``parts`` and ``scale``
    are our own, and ``cluster_key`` may also be a function.

    Attributes:
        dialect: Whose rules apply where the peers differ.
        source: The YAML file.
        lines: 1-based line of each key in ``source``; for an included key, the include's line.
        origins: Where each key was really written.
        python_class: What the key ``class`` names.
    """

    task: str
    dialect: Dialect
    source: Path
    lines: Mapping[str, int]
    origins: Mapping[str, Origin]

    task_alias: str | None = None
    tag: str | Sequence[str] | None = None
    group: str | Sequence[str] | None = None
    group_alias: str | Sequence[str] | None = None

    dataset_path: str | None = None
    dataset_name: str | None = None
    dataset_kwargs: Mapping[str, Any] | None = None
    custom_dataset: Function | None = None
    training_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    fewshot_split: str | None = None
    process_docs: Function | None = None
    full_docs: bool = False

    doc_to_text: str | int | Function | None = None
    doc_to_target: str | int | Sequence[Any] | Function | None = None
    doc_to_choice: str | Sequence[str] | Mapping[str, str] | Function | None = None
    doc_to_visual: str | Function | None = None
    doc_to_messages: Function | None = None
    doc_to_image: str | Sequence[Any] | Function | None = None
    doc_to_audio: str | Sequence[Any] | Function | None = None
    description: str = ""
    gen_prefix: str | None = None
    target_delimiter: str = " "
    fewshot_delimiter: str | None = "\n\n"
    fewshot_config: FewshotSettings = field(default_factory=FewshotSettings)
    num_fewshot: int | None = None
    use_prompt: str | None = None
    lmms_eval_specific_kwargs: Mapping[str, Any] | None = None
    model_specific_generation_kwargs: Mapping[str, Any] | None = None
    model_specific_target_kwargs: Mapping[str, Any] | None = None

    output_type: str = "generate_until"
    generation_kwargs: Mapping[str, Any] = field(default_factory=dict)
    repeats: int = 1

    filters: tuple[FilterSpec, ...] = ()
    metrics: tuple[MetricSpec, ...] = ()
    process_results: Function | None = None
    process_results_use_image: bool = False
    reasoning_tags: Pairs = ()
    auto_strip_thinking: bool = False
    score_key: str = "score"
    cluster_key: str | Function | None = None
    should_decontaminate: bool = False
    doc_to_decontamination_query: str | Function | None = None
    unsafe_code: bool = False
    metadata: Any = None

    python_class: str | Function | None = None

    gates: Mapping[str, Any] = field(default_factory=dict)
    parts: int | None = None
    scale: float | Mapping[str, float] | None = None

    @property
    def metric_keys(self) -> list[tuple[str, str]]:
        """Every (metric, filter) pair that is known without data: each metric under each filter."""
        return [(metric.name, spec.name) for metric in self.metrics for spec in self.filters]

    @property
    def gate_lines(self) -> Mapping[str, int]:
        """1-based line of each key of ``gates``."""
        return self.gates.lines if isinstance(self.gates, Block) else {}

    @property
    def has_choices(self) -> bool:
        """Whether the task states its docs' choices, which makes digits an index into them."""
        return self.doc_to_choice is not None

    @property
    def eval_split(self) -> str:
        """Name of the split that is evaluated: the test split, else the validation split.

        Raises:
            TaskError: The task names neither.
        """
        split = self.test_split or self.validation_split
        if split is None:
            raise self.error("task", "names neither 'test_split' nor 'validation_split'")
        return split

    @property
    def version(self) -> str:
        """``metadata.version``, or "" if the task states none."""
        metadata = self.metadata if isinstance(self.metadata, Mapping) else {}
        return str(metadata.get("version", ""))

    @property
    def tags(self) -> tuple[str, ...]:
        """The task's tags; a task's own ``group`` is lmms-eval's old spelling of them."""
        given = self.tag if self.tag is not None else self.group
        return (given,) if isinstance(given, str) else tuple(given or ())

    def metric_line(self, key: str) -> int:
        """Return the 1-based line in ``source`` of the metric of ``"metric,filter"``."""
        name = key.partition(",")[0]
        for metric in self.metrics:
            if metric.name == name and metric.path == self.source:
                return metric.line
        return self.lines.get("metric_list", 1)

    def error(self, key: str, message: str) -> TaskError:
        """Return an error that points at one of the task's keys."""
        at = self.origins.get(key, Origin(self.source, 1))
        return TaskError(f"task {self.task!r}: {message}", at.path, at.line)

    def unavailable(self, key: str, message: str) -> TaskUnavailable:
        """Return the error for a task that is right and that cannot run here because of a key."""
        at = self.origins.get(key, Origin(self.source, 1))
        return TaskUnavailable(f"task {self.task!r}: {message}", at.path, at.line)

    def data_error(self, key: str, message: str) -> DataError:
        """Return an error about the data, that points at the key which asks for them."""
        at = self.origins.get(key, Origin(self.source, 1))
        return DataError(f"{at.path}:{at.line}: task {self.task!r}: {message}")


# Keys that decide nothing once the task is selected, or that are read into other fields.
_NOT_FIELDS = {"class", "dialect", "recipe", "task_list", "filter_list", "metric_list"}


def load_config(
    path: Path, *, overrides: Mapping[str, Any] | None = None, dialect: Dialect | None = None
) -> TaskConfig:
    """Read a task YAML.

    Args:
        path: The file.
        overrides: Keys laid over the file's, shallowly.
        dialect: Forces one; by default the task tells, see ``dialect_of``.

    Raises:
        TaskError: The file, one it includes, or a key in it cannot be used.
    """
    source = load_source(path)
    document = source.merged(first_include_wins=False)
    found = dialect or dialect_of({**document.values, **(overrides or {})}, document.path)
    if found == "lmms_eval":
        document = source.merged(first_include_wins=True)
    return read_config(document, overrides=overrides, dialect=found)


def read_config(
    document: Document,
    *,
    overrides: Mapping[str, Any] | None = None,
    dialect: Dialect | None = None,
) -> TaskConfig:
    """Turn merged keys into a configuration.

    Args:
        document: The keys and where they stand.
        overrides: Keys laid over them, shallowly.
        dialect: Forces one; by default the task tells, see ``dialect_of``.

    Raises:
        TaskError: A key is unknown, or holds what it may not.
    """
    document = _overridden(document, overrides or {})
    check_keys(document)
    values = {key: value for key, value in document.values.items() if value is not None}
    name = values.get("task")
    if name is None:
        hint = nearest("task", map(str, values))
        raise TaskError(f"names no 'task', so it is not a task.{hint}", document.path, 1)
    found = dialect or dialect_of(values, document.path)
    check_dialect(document, found)
    lines = {
        key: at.line if at.path == document.path else document.include_line
        for key, at in document.origins.items()
    }
    config = TaskConfig(
        dialect=found,
        source=document.path,
        lines=lines,
        origins=document.origins,
        **_fields(document, values, found),
    )
    _check_values(config)
    return config


def _overridden(document: Document, overrides: Mapping[str, Any]) -> Document:
    if not overrides:
        return document
    origins = dict(document.origins)
    for key in overrides:
        lines = overrides.lines if isinstance(overrides, Block) else {}
        path = overrides.path if isinstance(overrides, Block) else document.path
        origins[key] = Origin(path, lines.get(key, 1))
    values = {**document.values, **overrides}
    return Document(document.path, values, origins, document.include_line)


def _fields(document: Document, values: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    origin = Origin(document.path, document.origins["task"].line)

    def at(key: str) -> Origin:
        return document.origins.get(key, origin)

    output_type = values.get("output_type", "generate_until")
    # Only a delimiter that is null on purpose means that there is none.
    delimiter = document.values.get("fewshot_delimiter", "\n\n")
    fields = {key: value for key, value in values.items() if key not in _NOT_FIELDS}
    fields["fewshot_delimiter"] = delimiter
    fields["python_class"] = values.get("class")
    fewshot = read_fewshot(values.get("fewshot_config"), at("fewshot_config"))
    if dialect == "lmms_eval":
        # All else that lm-eval's files say there has no effect in lmms-eval, which took them over.
        fewshot = FewshotSettings(sampler=fewshot.sampler)
    fields["fewshot_config"] = fewshot
    fields["generation_kwargs"] = generation_arguments(
        values.get("generation_kwargs"), output_type, delimiter, dialect, at("generation_kwargs")
    )
    fields["filters"] = read_filters(values.get("filter_list"), at("filter_list"))
    fields["metrics"] = read_metrics(values.get("metric_list"), output_type, at("metric_list"))
    fields["reasoning_tags"] = ()
    if dialect == "lmms_eval":
        try:
            fields["reasoning_tags"] = read_pairs(values.get("reasoning_tags"))
        except ValueError as error:
            place = at("reasoning_tags")
            message = f"reasoning_tags is {values['reasoning_tags']!r}: {error}"
            raise TaskError(message, place.path, place.line) from error
    if "dataset_name" in fields:
        fields["dataset_name"] = str(fields["dataset_name"])
    return fields


def _check_values(config: TaskConfig) -> None:
    if config.output_type not in OUTPUT_TYPES:
        hint = nearest(config.output_type, OUTPUT_TYPES)
        known = ", ".join(OUTPUT_TYPES)
        raise config.error("output_type", f"{config.output_type!r} is not one of {known}.{hint}")
    ranges = {"repeats": (1, 10_000), "num_fewshot": (0, 100_000), "parts": (1, 10_000)}
    for key, (minimum, maximum) in ranges.items():
        value = getattr(config, key)
        if value is not None and not minimum <= value <= maximum:
            bound = f"at least {minimum}" if value < minimum else f"at most {maximum:,}"
            raise config.error(key, f"{key} is {value}, expected {bound}")
    key = "model_specific_generation_kwargs"
    for name, arguments in (config.model_specific_generation_kwargs or {}).items():
        check_generation(arguments, partial(config.error, key), f"{key}: {name}: ")
    if not config.metrics and config.process_results is None:
        message = "metric_list is empty, so nothing would be measured"
        raise config.error("metric_list", message)
    choices = config.doc_to_choice
    if isinstance(choices, list | tuple) and any(isinstance(c, bool) for c in choices):
        message = (
            f"doc_to_choice is {choices!r}: YAML takes yes and no for true and false; quote them"
        )
        raise config.error("doc_to_choice", message)
    for key, rule in config.gates.items():
        if rule is not None and not isinstance(rule, Mapping):
            line = config.gate_lines.get(key, config.lines.get("gates", 1))
            raise TaskError(
                f"gate {key!r}: expected a mapping, found {rule!r}", config.source, line
            )
