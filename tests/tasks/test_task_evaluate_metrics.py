"""Metrics of Hugging Face's evaluate library give what lm-eval makes of them, run beside ours."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lm_eval_peer import Case, Scripted, run_peer
from task_builders import MINIMAL, TaskFolder, answer, values

from pytest_lmmeval.errors import TaskError, TaskUnavailable

# A metric as its authors publish one: a script in a folder of its name.
METRIC = """
import datasets
import evaluate


class Overlap(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        features = datasets.Features({"predictions": text, "references": text})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, power=1):
        pairs = list(zip(predictions, references))
        shared = [len(set(a) & set(b)) / max(1, len(set(b))) for a, b in pairs]
        return {"overlap": sum(shared) / len(shared) ** power, "longer": float(len(pairs[0][0]))}
"""
ROWS = [{"question": f"Q{i}", "answer": text} for i, text in enumerate(("ab", "cd", "abcd"))]
ANSWERS = ["abc", "xyz", "ad"]
TASK = """
    task: {name}
    dataset_path: json
    dataset_kwargs: {{data_files: {{test: rows.jsonl}}}}
    test_split: test
    doc_to_text: "{{{{question}}}}"
    doc_to_target: answer
    metric_list:
      - {{metric: overlap, aggregation: {aggregation}, hf_evaluate: true, power: 2}}
"""


class NoLikelihoods:
    """The task only generates."""

    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        raise AssertionError("nobody asks for likelihoods")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskFolder:
    # Neither tool may look a metric up on the hub.
    monkeypatch.setattr("evaluate.config.HF_EVALUATE_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = TaskFolder(tmp_path / "tasks")
    folder.path.mkdir()
    folder.write("overlap/overlap.py", METRIC)
    folder.rows("rows.jsonl", ROWS)
    folder.docs(ROWS)
    return folder


@pytest.mark.parametrize("aggregation", ["mean", "median"])
def test_a_metric_of_the_library_gives_lm_evals_scores(
    folder: TaskFolder, aggregation: str
) -> None:
    folder.write("task.yaml", TASK.format(name="shared", aggregation=aggregation))
    case = Case("case", "shared", [[said] for said in ANSWERS])
    peer = run_peer(folder.path, [case], lambda case: Scripted(case, NoLikelihoods()))["case"]
    task = folder.task(bootstrap_iters=100)
    task.check_requirements()
    samples = answer(task, ANSWERS)
    for metric in ("overlap", "longer"):
        ours = values(samples, f"{metric},none")
        assert ours == [row[metric] for row in peer["samples"]["shared"]]
        value, error = task.aggregate(metric, "none", ours)
        assert value == peer["results"]["shared"][f"{metric},none"]
        assert error == peer["results"]["shared"][f"{metric}_stderr,none"]


def test_a_metric_that_cannot_be_had_is_told_before_the_run(folder: TaskFolder) -> None:
    entry = "{metric: no_such_metric, hf_evaluate: true}"
    path = folder.write("task.yaml", MINIMAL + f"    metric_list: [{entry}]\n")
    with pytest.raises(TaskUnavailable, match="spaces/evaluate-metric/no_such_metric") as why:
        folder.task().check_requirements()
    assert (why.value.path, why.value.line) == (path, 6)
    assert "put that as a folder 'no_such_metric' beside the task" in str(why.value)


def test_a_well_known_name_needs_no_flag_and_an_unknown_one_is_told(folder: TaskFolder) -> None:
    folder.write("wer/wer.py", METRIC)
    folder.write("task.yaml", MINIMAL + "    metric_list: [{metric: wer}]\n")
    assert values(answer(folder.task(), ANSWERS), "overlap,none") == [1.0, 0.0, 0.5]


def test_without_the_library_it_says_what_to_install(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "evaluate", None)
    folder.write("task.yaml", MINIMAL + "    metric_list: [{metric: overlap, hf_evaluate: true}]\n")
    with pytest.raises(TaskUnavailable, match=r"evaluate is not installed; pip install evaluate$"):
        folder.task().check_requirements()


def test_of_several_right_answers_a_metric_that_gives_no_number_is_told(folder: TaskFolder) -> None:
    folder.docs([{"question": "Q", "answer": ["ab", "cd"]}])
    folder.write("overlap/overlap.py", METRIC.replace('"overlap":', '"other":'))
    folder.write("task.yaml", MINIMAL + "    metric_list: [{metric: overlap, hf_evaluate: true}]\n")
    with pytest.raises(TaskError, match="other, longer, no 'overlap'"):
        answer(folder.task(), ["ab"])


def test_its_exact_match_is_the_built_in_one(folder: TaskFolder) -> None:
    entry = "{metric: exact_match, hf_evaluate: true, ignore_case: true}"
    folder.write("task.yaml", MINIMAL + f"    metric_list: [{entry}]\n")
    folder.task().check_requirements()
    assert values(answer(folder.task(), ["AB", "cd", ""]), "exact_match,none") == [1.0, 1.0, 0.0]


def test_a_module_that_loads_metrics_at_import_runs_where_none_is_used(folder: TaskFolder) -> None:
    folder.write(
        "own.py",
        """
        import evaluate
        from datasets import load_metric

        bleu = evaluate.load("no_such_metric")
        rouge = load_metric("no_such_either")

        def used(doc, results):
            return {"bleu": bleu.compute(references=[""], predictions=[""])}

        def unused(doc, results):
            return {"bleu": 1.0}
        """,
    )
    folder.write("task.yaml", MINIMAL + "    process_results: !function own.unused\n")
    folder.task().check_requirements()
    assert values(answer(folder.task(), ANSWERS), "bleu,none") == [1.0] * 3
    folder.write("task.yaml", MINIMAL + "    process_results: !function own.used\n")
    with pytest.raises(TaskUnavailable, match="metric 'no_such_metric' of Hugging Face's"):
        folder.task().check_requirements()


def test_a_metric_that_a_module_loads_may_lie_beside_the_task(folder: TaskFolder) -> None:
    folder.write(
        "own.py",
        """
        import evaluate

        overlap = evaluate.load("overlap")

        def score(doc, results):
            return overlap.compute(references=[doc["answer"]], predictions=results, power=1)
        """,
    )
    folder.write("task.yaml", MINIMAL + "    process_results: !function own.score\n")
    folder.task().check_requirements()
    # Shared letters over those of the answer: ab of ab, none of cd, ad of abcd.
    assert values(answer(folder.task(), ANSWERS), "overlap,none") == [1.0, 0.0, 0.5]
