"""A task's keys are those of both peers, checked, with each one's own defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from task_builders import TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.config_reader import load_config
from pytest_lmmeval.tasks.files.schema import Dialect

BASE = "task: a\ndataset_path: json\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return TaskFolder(tmp_path)


def load(folder: TaskFolder, more: str = "", **options: Any) -> TaskConfig:
    return load_config(folder.write("task.yaml", BASE + more), **options)


def failure(folder: TaskFolder, more: str) -> TaskError:
    with pytest.raises(TaskError) as caught:
        load(folder, more)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("more", "line", "message"),
    [
        ("doc_to_txt: x\n", 6, "key 'doc_to_txt' is not one of a task's. Did you mean 'doc_to_te"),
        ("repeats: two\n", 6, "repeats is 'two', expected a whole number"),
        ("repeats: 0\n", 6, "repeats is 0, expected at least 1"),
        ("repeats: true\n", 6, "repeats is True, expected a whole number"),
        ("num_fewshot: -1\n", 6, "num_fewshot is -1, expected at least 0"),
        ("parts: 0\n", 6, "parts is 0, expected at least 1"),
        ("process_docs: text\n", 6, "expected !function module.name"),
        ("output_type: generate\n", 6, "Did you mean 'generate_until'?"),
        ("metric_list: exact_match\n", 6, "metric_list is 'exact_match', expected a list"),
        ("metric_list: [exact_match]\n", 6, "metric_list holds 'exact_match', expected a mapping"),
        ("metric_list:\n  - name: acc\n", 7, "metric_list: has no 'metric'"),
        ("metric_list:\n  - metric: acc\n    aggregation: 3\n", 7, "aggregation is 3, expected"),
        ("filter_list:\n  - name: f\n", 7, "filter_list: has no 'filter'"),
        ("filter_list:\n- name: f\n  filter:\n  - fn: x\n", 9, "filter 'f': has no 'function'"),
        (
            "filter_list:\n- {name: f, filter: []}\n- {name: f, filter: []}\n",
            8,
            "two pipelines 'f'",
        ),
        ("fewshot_config:\n  sampler: default\n  splt: x\n", 8, "Did you mean 'split'?"),
        ("generation_kwargs:\n  until: 3\n", 7, "until is 3, expected text or a list of texts"),
        ("description: !function own.d\n", 6, "description is !function own.d, expected text"),
        ("generation_kwargs:\n  temperature: hot\n", 7, "temperature is 'hot', expected a number"),
        ("gates:\n  acc: 3\n", 7, "gate 'acc': expected a mapping, found 3"),
        ("doc_to_visual: image\nreasoning_tags: [think]\n", 7, "expected pairs of tags"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_its_line(
    folder: TaskFolder, more: str, line: int, message: str
) -> None:
    error = failure(folder, more)
    assert message in str(error)
    assert error.line == line


def test_a_file_without_a_task_is_none(folder: TaskFolder) -> None:
    path = folder.write("task.yaml", "tasks: a\ndataset_path: json\n")
    with pytest.raises(TaskError, match="key 'tasks' is not one of a task's"):
        load_config(path)
    path = folder.write("task.yaml", "dataset_path: json\n")
    with pytest.raises(TaskError, match="names no 'task'"):
        load_config(path)


@pytest.mark.parametrize(
    "key",
    [
        "doc_to_visual: image",
        "doc_to_messages: !function a.b",
        "lmms_eval_specific_kwargs: {default: {}}",
        "model_specific_generation_kwargs: {default: {}}",
        "model_specific_target_kwargs: {default: x}",
        "score_key: right",
        "reasoning_tags: none",
        "auto_strip_thinking: true",
        "process_results_use_image: true",
        "full_docs: true",
    ],
)
def test_a_key_of_lmms_eval_alone_makes_the_dialect(folder: TaskFolder, key: str) -> None:
    assert load(folder).dialect == "lm_eval"
    assert load(folder, f"{key}\n").dialect == "lmms_eval"


def test_clusters_do_not_make_the_dialect(folder: TaskFolder) -> None:
    assert load(folder, "cluster_key: video\n").dialect == "lm_eval"
    assert load(folder, "cluster_key: video\nscore_key: right\n").dialect == "lmms_eval"


@pytest.mark.parametrize("dialect", ["lm_eval", "lmms_eval"])
def test_clusters_are_known_in_both_dialects(folder: TaskFolder, dialect: Dialect) -> None:
    assert load(folder, "cluster_key: video\n", dialect=dialect).cluster_key == "video"


@pytest.mark.parametrize("dialect", ["lm_eval", "lmms_eval"])
def test_the_dialect_can_be_forced(folder: TaskFolder, dialect: Dialect) -> None:
    assert load(folder, dialect=dialect).dialect == dialect
    other = {"lm_eval": "lmms_eval", "lmms_eval": "lm_eval"}[dialect]
    assert load(folder, f"dialect: {other}\n", dialect=dialect).dialect == dialect


@pytest.mark.parametrize("dialect", ["lm_eval", "lmms_eval"])
def test_a_task_may_say_its_dialect(folder: TaskFolder, dialect: Dialect) -> None:
    assert load(folder, f"dialect: {dialect}\n").dialect == dialect


def test_a_dialect_that_there_is_not_is_told(folder: TaskFolder) -> None:
    with pytest.raises(TaskError, match=r"task.yaml:\d+: dialect is 'lmm_eval'.* Did you mean"):
        load(folder, "dialect: lmm_eval\n")


@pytest.mark.parametrize(
    ("dialect", "key"),
    [("lm_eval", "doc_to_visual: image"), ("lmms_eval", "gen_prefix: 'A:'")],
)
def test_a_key_that_the_forced_dialect_would_pass_over_is_told(
    folder: TaskFolder, dialect: Dialect, key: str
) -> None:
    name = key.partition(":")[0]
    with pytest.raises(TaskError, match=rf"task.yaml:\d+: key '{name}' is one of .* {dialect}"):
        load(folder, f"{key}\n", dialect=dialect)


@pytest.mark.parametrize("dialect", ["lm_eval", "lmms_eval"])
def test_the_tree_that_a_file_lies_in_makes_the_dialect(
    folder: TaskFolder, dialect: Dialect
) -> None:
    inside = TaskFolder(folder.path / "site-packages" / dialect / "tasks" / "deep")
    assert load(inside).dialect == dialect
    assert load(inside, "cluster_key: clip\n").dialect == dialect


def test_a_file_beside_the_trees_is_known_by_its_keys(folder: TaskFolder) -> None:
    beside = TaskFolder(folder.path / "lmms_eval" / "my" / "tasks")
    assert load(beside).dialect == "lm_eval"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", {"until": ["\n\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 256}),
        ('fewshot_delimiter: "#"\ngeneration_kwargs: {top_p: 1}\n', {"until": ["#"], "top_p": 1}),
        ("generation_kwargs: {until: x, temperature: 1}\n", {"until": "x", "temperature": 1.0}),
        ("score_key: score\n", {"until": ["\n\n"], "do_sample": False}),
        (
            "score_key: score\ngeneration_kwargs: {max_new_tokens: 5}\n",
            {"until": ["\n\n"], "max_new_tokens": 5},
        ),
        ("score_key: score\nfewshot_delimiter: null\n", {"until": None, "do_sample": False}),
    ],
)
def test_generation_arguments_have_each_peers_defaults(
    folder: TaskFolder, more: str, expected: dict[str, Any]
) -> None:
    assert load(folder, more).generation_kwargs == expected


@pytest.mark.parametrize(
    ("output_type", "metrics"),
    [
        ("generate_until", ["exact_match"]),
        ("multiple_choice", ["acc", "acc_norm"]),
        ("loglikelihood", ["perplexity", "acc"]),
        ("loglikelihood_rolling", ["word_perplexity", "byte_perplexity", "bits_per_byte"]),
    ],
)
def test_metrics_follow_from_the_output_type(
    folder: TaskFolder, output_type: str, metrics: list[str]
) -> None:
    config = load(folder, f"output_type: {output_type}\n")
    assert config.metric_keys == [(metric, "none") for metric in metrics]


def test_every_metric_under_every_filter_is_known_without_data(folder: TaskFolder) -> None:
    config = load(
        folder,
        """
filter_list:
  - {name: strict, filter: [{function: take_first}]}
  - {name: loose, filter: [{function: regex}, {function: take_first}]}
metric_list:
  - metric: exact_match
    ignore_case: true
  - metric: !function no_such_file.my_metric
    higher_is_better: false
    aggregation: median
    weight: 3
""",
    )
    assert config.metric_keys == [
        ("exact_match", "strict"),
        ("exact_match", "loose"),
        ("my_metric", "strict"),
        ("my_metric", "loose"),
    ]
    exact, own = config.metrics
    assert (exact.aggregation, exact.higher_is_better) == ("mean", True)
    assert exact.kwargs == {"ignore_case": True}
    assert (own.aggregation, own.higher_is_better, own.kwargs) == ("median", False, {"weight": 3})
    assert config.metric_line("my_metric,loose") == own.line == 13


def test_gates_are_kept_as_they_are_with_their_lines(folder: TaskFolder) -> None:
    config = load(folder, "parts: 4\ngates:\n  exact_match:\n    max_drop: 0.01\n  x,none: null\n")
    assert config.gates == {"exact_match": {"max_drop": 0.01}, "x,none": None}
    assert config.gate_lines == {"exact_match": 8, "x,none": 10}
    assert config.parts == 4


def test_a_key_that_is_included_has_the_line_of_the_include(folder: TaskFolder) -> None:
    folder.write("base", "x: 1\n".replace("x: 1", "num_fewshot: 3"))
    config = load(folder, "tag: t\ninclude: base\n")
    assert config.num_fewshot == 3
    assert config.lines["num_fewshot"] == 7
    assert config.lines["tag"] == 6
    assert config.origins["num_fewshot"].path.name == "base"


def test_overrides_are_laid_over_shallowly_and_checked(folder: TaskFolder) -> None:
    more = "generation_kwargs: {until: [x], top_p: 1}\n"
    config = load(folder, more, overrides={"generation_kwargs": {"top_k": 2}, "num_fewshot": 7})
    assert config.generation_kwargs == {"until": ["\n\n"], "top_k": 2}
    assert config.num_fewshot == 7
    with pytest.raises(TaskError, match="Did you mean 'num_fewshot'"):
        load(folder, overrides={"num_fewshots": 7})


def test_the_test_split_is_evaluated_or_else_the_validation_split(folder: TaskFolder) -> None:
    assert load(folder, "validation_split: val\n").eval_split == "test"
    path = folder.write("v.yaml", "task: v\nvalidation_split: val\ndoc_to_text: q\n")
    assert load_config(path).eval_split == "val"
    config = load_config(folder.write("n.yaml", "task: n\ntraining_split: t\ndoc_to_text: q\n"))
    with pytest.raises(TaskError, match="neither 'test_split' nor 'validation_split'"):
        _ = config.eval_split


def test_the_version_and_the_tags_are_read_from_either_spelling(folder: TaskFolder) -> None:
    config = load(folder, "metadata: {version: 2.0}\ntag: [x, y]\n")
    assert (config.version, config.tags) == ("2.0", ("x", "y"))
    config = load(folder, "metadata: [{version: 2.0}]\ngroup: old\n")
    assert (config.version, config.tags) == ("", ("old",))
