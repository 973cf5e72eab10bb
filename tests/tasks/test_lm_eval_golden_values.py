"""Every value that was recorded with lm-eval 0.4.13, sacrebleu 2.6.0 and scikit-learn 1.9.1.

One check per entry of the record; an entry without a check is a KeyError.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from task_builders import MINIMAL, TaskFolder, ask

from pytest_lmmeval.models.arguments import parse_arguments
from pytest_lmmeval.models.endpoints.openai import OpenAIChat
from pytest_lmmeval.models.generation import cut_at_stops, read_generation
from pytest_lmmeval.models.local.sampling import sampling_arguments
from pytest_lmmeval.models.rolling import rolling_windows
from pytest_lmmeval.records import Instance, MetricResult, OutcomeCounts
from pytest_lmmeval.tasks.catalog.groups import load_group
from pytest_lmmeval.tasks.prompts.templates import compile_template
from pytest_lmmeval.tasks.prompts.turns import joined
from pytest_lmmeval.tasks.scoring.aggregation import mean_stderr, stderr
from pytest_lmmeval.tasks.scoring.filter_names import known_filters
from pytest_lmmeval.tasks.scoring.group_results import aggregate_group
from pytest_lmmeval.tasks.scoring.known_aggregations import AGGREGATIONS
from pytest_lmmeval.tasks.scoring.metrics import exact_match
from pytest_lmmeval.warnings import LmmWarning

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return TaskFolder(tmp_path)


def check_mean_stderr(golden: Any, folder: TaskFolder) -> None:
    assert mean_stderr(golden["xs"]) == golden["v"]


def check_aggregation(name: str, items: str = "items") -> Callable[[Any, TaskFolder], None]:
    """Return a check of a value and of its bootstrapped standard errors."""

    def check(golden: Any, folder: TaskFolder) -> None:
        xs = golden.pop(items)
        assert AGGREGATIONS[name].value(xs) == golden.pop("value")
        for key, value in golden.items():
            iterations = int(key.removeprefix("iters").removeprefix("boot"))
            assert stderr(AGGREGATIONS[name], xs, iterations) == value, key

    return check


def check_group(golden: Any, folder: TaskFolder) -> None:
    rows = {
        task: [MetricResult(task, "acc", "none", value, error, n, True, OutcomeCounts(scored=n))]
        for task, value, error, n in zip(
            "abc", (0.5, 0.6, 0.9), golden["stderrs"], golden["sizes"], strict=True
        )
    }
    expected = {"true": ("w_mean", "pooled"), "false": ("u_mean", "unweighted")}
    for weighted, (value, error) in expected.items():
        text = "group: g\ntask: [a, b, c]\naggregate_metric_list:\n"
        text += f"- {{metric: acc, weight_by_size: {weighted}}}\n"
        (row,) = aggregate_group(load_group(folder.write(f"{weighted}.yaml", text)), rows)
        assert (row.value, row.stderr) == (golden[value], golden[error])


def check_exact_match(golden: Any, folder: TaskFolder) -> None:
    for reference, prediction, kwargs, expected in golden:
        assert exact_match([prediction], [reference], **kwargs) == expected


def check_joints(golden: Any, folder: TaskFolder) -> None:
    for first, second, delimiter, expected in golden:
        assert joined(first, second, delimiter) == expected


def check_windows(golden: Any, folder: TaskFolder) -> None:
    for key, expected in golden.items():
        tokens, longest = (int(part) for part in key.removeprefix("n").split("_max"))
        windows = rolling_windows(range(1, tokens + 1), prefix_token=0, max_seq_len=longest)
        assert [[context, predicted] for context, predicted in windows] == expected


def check_shots(split: str, sampler: str, count: int) -> Callable[[Any, TaskFolder], None]:
    """Return a check of which of 20 docs the first few docs are shown."""

    def check(golden: Any, folder: TaskFolder) -> None:
        rows = [{"question": f"Q{n}", "answer": f"A{n}"} for n in range(20)]
        folder.docs(rows, train=rows)
        more = f"    fewshot_split: {split}\n    fewshot_config: {{sampler: {sampler}}}\n"
        folder.write("task.yaml", MINIMAL + more)
        prompts = ask(folder.task(num_fewshot=count, parity="lm_eval"))
        expected = golden if isinstance(golden[0], list) else [golden]
        for prompt, indices in zip(prompts, expected, strict=False):
            *shown, _ = prompt.split("\n\n")
            assert shown == [f"Q{index} A{index}" for index in indices]

    return check


# What the record's filters were given; it holds what came out.
REGEX: list[tuple[str, dict[str, Any]]] = [
    ("x #### 1,234. y", {}),
    ("a 12 b 7", {"regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}),
    ("zz A", {"regex_pattern": "A|(B)"}),
    ("nothing", {}),
]


def filtered(name: str, responses: list[str], doc: Any = None, **kwargs: Any) -> Any:
    return list(known_filters("lm_eval")[name](**kwargs).apply([responses], [doc or {}]))


def check_regex(golden: Any, folder: TaskFolder) -> None:
    for (text, kwargs), expected in zip(REGEX, golden, strict=True):
        assert filtered("regex", [text], **kwargs) == expected


def check_choices(golden: Any, folder: TaskFolder) -> None:
    doc = {"choices": ["Guilty", "Guilty of Romance", "No"]}
    kwargs = {"regex_pattern": r"(\([A-Z]\))", "ignore_case": True, "ignore_punctuation": True}
    for text, expected in golden:
        assert filtered("multi_choice_regex", [text], doc, **kwargs) == expected


def check_majority(golden: Any, folder: TaskFolder) -> None:
    assert filtered("majority_vote", ["a", "b", "a"]) == golden


def check_first_few(golden: Any, folder: TaskFolder) -> None:
    assert filtered("take_first_k", ["a", "b", "c"], k=2) == golden


def check_map(golden: Any, folder: TaskFolder) -> None:
    assert filtered("map", ["a", "b"], mapping_dict={"a": 1}, default_value=0) == golden


def check_templates(golden: Any, folder: TaskFolder) -> None:
    for template, doc, expected in golden:
        assert compile_template(template, "lm_eval").render(doc) == expected


def check_arguments(golden: Any, folder: TaskFolder) -> None:
    for text, expected in golden:
        assert parse_arguments(text) == expected


def check_generation(golden: Any, folder: TaskFolder) -> None:
    """lm-eval's normalised arguments mean what ours come to."""
    for given, expected in golden:
        request = Instance("t", 0, 0, "generate_until", "x", gen_kwargs=given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmWarning)  # of two limits, one of which counts
            generation = read_generation(request)
        assert list(generation.stop) == expected["until"]
        assert generation.max_tokens == expected["max_gen_toks"]
        sampled = sampling_arguments(request, generation)
        assert sampled["do_sample"] == expected["do_sample"]
        # Greedily, there is none.
        warm = expected.get("temperature") if expected["do_sample"] else None
        assert sampled.get("temperature") == warm


def check_answers(golden: Any, folder: TaskFolder) -> None:
    for text, stops, think_end, expected in golden:
        request = Instance("t", 0, 0, "generate_until", "x", gen_kwargs={"until": stops})
        model = OpenAIChat("m", base_url="http://127.0.0.1:9", think_end_token=think_end)
        answer = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
        assert model.parse_response(request, answer).text == expected
        if think_end is None:
            assert cut_at_stops(text, [stop for stop in stops if stop])[0] == expected


CHECKS: dict[str, Callable[[Any, TaskFolder], None]] = {
    "mean_stderr": check_mean_stderr,
    "boot_perplexity": check_aggregation("perplexity", "xs"),
    "boot_median": check_aggregation("median", "xs"),
    "boot_nanmean": check_aggregation("nanmean", "xs"),
    "f1": check_aggregation("f1"),
    "mcc": check_aggregation("matthews_corrcoef"),
    "bleu": check_aggregation("bleu"),
    "chrf": check_aggregation("chrf"),
    "chrfpp": check_aggregation("chrf++"),
    "ter": check_aggregation("ter"),
    "weighted_perplexity": check_aggregation("weighted_perplexity"),
    "bits_per_byte": check_aggregation("bits_per_byte"),
    "brier": check_aggregation("brier_score"),
    "pooled": check_group,
    "exact_match": check_exact_match,
    "maybe_delimit": check_joints,
    "rolling": check_windows,
    "sampler_default_n2_x4": check_shots("train", "default", 2),
    "sampler_default_n2_evaldoc_x4": check_shots("test", "default", 2),
    "sampler_default_n5_x2": check_shots("train", "default", 5),
    "first_n_evaldoc0": check_shots("test", "first_n", 3),
    "regex": check_regex,
    "majority": check_majority,
    "take_k": check_first_few,
    "map": check_map,
    "multi_choice_regex": check_choices,
    "template": check_templates,
    "args": check_arguments,
    "gen_kwargs": check_generation,
    "postproc": check_answers,
}


@pytest.mark.parametrize("entry", GOLDEN)
def test_the_recorded_value_is_reproduced(entry: str, folder: TaskFolder) -> None:
    CHECKS[entry](json.loads(json.dumps(GOLDEN[entry])), folder)


def test_every_check_has_its_entry() -> None:
    assert set(CHECKS) == set(GOLDEN)
