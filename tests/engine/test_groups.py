"""Groups in the results: the same numbers and layout as lm-eval's, or a reason for none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from results_peer import answer, likelihood, run_peer

from pytest_lmmeval import LM, RequestError, evaluate, simple_evaluate
from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.records import Instance, RequestType, Response
from pytest_lmmeval.warnings import LmmWarning

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{train: train.jsonl, test: {name}.jsonl}}}}
test_split: test
fewshot_split: train
fewshot_config: {{sampler: first_n}}
doc_to_text: "What is {{{{left}}}} + {{{{right}}}}?"
"""
GENERATED = """
doc_to_target: "{{total}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 16}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
filter_list:
  - name: strict
    filter: [{function: regex, regex_pattern: "answer is (\\\\d+)"}, {function: take_first}]
  - name: flexible
    filter: [{function: regex, regex_pattern: "(\\\\d+)"}, {function: take_first}]
"""
CHOSEN = """
output_type: multiple_choice
doc_to_target: even
doc_to_choice: ["yes", "no"]
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
SIZES = {"one": 7, "two": 12, "three": 20, "four": 3, "five": 9}
GROUPS = {
    "weighted": """
group: weighted
group_alias: by size
task: [one, two, three]
aggregate_metric_list:
  - {metric: exact_match, weight_by_size: true}
metadata: {version: 3.0}
""",
    "plain": """
group: plain
task: [four, five]
aggregate_metric_list:
  - {metric: acc, aggregation: mean, weight_by_size: false}
""",
    "outer": """
group: outer
task:
  - weighted
  - group: within
    task: [four]
  - five
aggregate_metric_list:
  - {metric: acc}
  - {metric: exact_match, filter_list: strict}
""",
    "bare": "group: bare\ntask: [plain, one]\n",
    "tagged": """
group: tagged
task: [odd]
aggregate_metric_list: [{metric: exact_match, filter_list: [flexible]}]
""",
}
# What lm-eval warns about: a metric that some tasks of the group have not.
INCOMPLETE = pytest.mark.filterwarnings("ignore:group 'outer'.* is missing in")


class Scripted(LM):
    """Answers as the scripted model of the other side does; may fail for some tasks."""

    request_types: ClassVar[frozenset[RequestType]] = frozenset({"generate_until", "loglikelihood"})
    batch_size = 4

    def __init__(self, fail: str = "") -> None:
        self.fail = fail

    def generate_until(self, requests: Sequence[Instance]) -> Sequence[str | Response]:
        if any(f"{r.task} {r.doc_id} ".startswith(self.fail or "-") for r in requests):
            raise RequestError("server", "500")
        return [answer(str(request.context)) for request in requests]

    def loglikelihood(self, requests: Sequence[Instance]) -> Sequence[tuple[float, bool]]:
        return [likelihood(str(r.context), r.continuation) for r in requests]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("groups")
    for number, (name, count) in enumerate({"train": 5, **SIZES}.items()):
        docs = [{"left": i, "right": 3 * i + number} for i in range(count)]
        rows = [{**d, "total": d["left"] + d["right"], "even": d["left"] % 2} for d in docs]
        (path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name in SIZES:
        kind = CHOSEN if name in ("four", "five") else GENERATED
        tag = "tag: odd\n" if name in ("one", "three") else ""
        (path / f"{name}.yaml").write_text(TASK.format(name=name) + kind + tag)
    for name, text in GROUPS.items():
        (path / f"group_{name}.yaml").write_text(text)
    return path


def run_ours(folder: Path, group: str) -> dict[str, Any]:
    found = simple_evaluate(
        Scripted(), tasks=group, include_path=folder, limit=20, limit_from="first", num_fewshot=2
    )
    parsed: dict[str, Any] = json.loads(json.dumps(found))
    return parsed


@INCOMPLETE
@pytest.mark.parametrize("group", ["outer", "bare", "tagged"])  # the others are within these
def test_results_of_groups_are_those_of_lm_eval(folder: Path, group: str) -> None:
    ours, theirs = run_ours(folder, group), run_peer(folder, [group])
    assert ours["group_subtasks"] == theirs["group_subtasks"]
    assert ours["versions"] == theirs["versions"]
    assert ours["n-shot"] == theirs["n-shot"]
    assert ours["higher_is_better"] == theirs["higher_is_better"]
    assert ours["n-samples"] == theirs["n-samples"]
    assert ours["results"].keys() == theirs["results"].keys()
    for name, expected in theirs["results"].items():
        assert ours["results"][name] == expected, name
    assert ours.get("groups") == theirs.get("groups")
    assert ours["incomplete_groups"] == {}


def test_the_results_of_an_evaluation_have_its_groups(folder: Path) -> None:
    found = evaluate(Scripted(), ["weighted", "four"], include_path=folder, limit_from="first")
    assert list(found) == ["one", "two", "three", "four"]
    assert list(found.groups) == ["weighted"]
    group = found.groups["weighted"]
    sizes, tasks = (7, 12, 20), ("one", "two", "three")
    mean = sum(n * found[t]["exact_match,strict"] for n, t in zip(sizes, tasks, strict=True)) / 39
    assert group["exact_match,strict"] == pytest.approx(mean)
    assert group.result("exact_match,flexible").n == 39
    assert group.result("exact_match,flexible").counts.total == 39
    with pytest.raises(UsageError, match="weighted: metric 'acc' was not measured"):
        group["acc"]


def test_docs_that_failed_are_in_no_group(folder: Path) -> None:
    found = evaluate(Scripted("two 1"), "weighted", include_path=folder)
    assert found["two"].counts.failed == 3  # docs 1, 10 and 11
    result = found.groups["weighted"].result("exact_match,flexible")
    assert (result.n, result.counts.failed, result.counts.total) == (36, 3, 39)


def test_a_group_with_a_task_without_answers_has_no_number(folder: Path) -> None:
    results = simple_evaluate(Scripted("two "), tasks="weighted", include_path=folder)
    assert "groups" not in results
    assert results["results"]["weighted"] == {"alias": "by size", "name": "weighted"}
    reason = "1 of 3 tasks without a result: two"
    assert results["incomplete_groups"] == {"weighted": reason}


@pytest.mark.filterwarnings("ignore:group 'outer'. exact_match")
def test_a_metric_that_some_tasks_lack_is_warned_about(folder: Path) -> None:
    with pytest.warns(LmmWarning, match="group 'outer': acc,none is missing in one, three, two"):
        evaluate(Scripted(), "outer", include_path=folder, limit=3)
