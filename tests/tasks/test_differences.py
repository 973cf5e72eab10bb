"""What is done unlike lm-eval on purpose, and that parity brings lm-eval's way back.

lm-eval is run beside ours. Those of lmms-eval are in ``test_lmms_eval_differences.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lm_eval_peer import Case, Scripted, run_peer
from task_builders import TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.records import Response, Sample
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.files.schema import Dialect
from pytest_lmmeval.tasks.task import Task, TaskSettings

N = 12
DOCS: list[dict[str, Any]] = [
    {
        "question": f"Q{i}",
        "answer": f"A{i}",
        "golds": ["red rose", "blue"] if i % 3 else "red",
        "references": ["a red rose", "one red rose"][: 1 + (i != 4)],
    }
    for i in range(N)
]
SAID = [["red rose", "rose", "blue", "d"][i % 4] for i in range(N)]

HELPERS = """
import random

import numpy as np


def guess(doc, results):
    if results[0] == "blue":
        return {"lucky": 1.0}
    return {"lucky": random.random() + np.random.random()}


def shared(references, predictions):
    return len(set(references[0]) & set(predictions[0])) / 10


def missing(references, predictions):
    return len(set(references[0]) - set(predictions[0]))


def count(references, predictions):
    return len(predictions[0])
"""

_BASE = """
    dataset_path: json
    dataset_kwargs: {data_files: {test: test.jsonl, twins: twins.jsonl}}
    test_split: test
    doc_to_text: "{{question}}"
    doc_to_target: answer
"""
_SEVERAL = _BASE.replace("answer", "!function golds.of")
_MEAN = "aggregation: mean, higher_is_better"

TASKS = {
    "unnamed": f"{_BASE}    num_fewshot: 3\n",
    "validation": f"{_BASE}    fewshot_split: validation\n".replace(
        "test_split", "validation_split"
    )
    .replace("test: test", "validation: test")
    .replace("validation_split: test", "validation_split: validation")
    + "    num_fewshot: 3\n",
    "first": f"{_BASE}    num_fewshot: 3\n    fewshot_config: {{sampler: first_n}}\n",
    "named": f"{_BASE}    fewshot_split: test\n    num_fewshot: 3\n",
    "twins": f"{_BASE.replace('_split: test', '_split: twins')}    num_fewshot: 2\n",
    "guessed": f"""{_BASE}
    process_results: !function helpers.guess
    metric_list: [{{metric: lucky, {_MEAN}: true}}]
    filter_list:
      - {{name: plain, filter: [{{function: take_first}}]}}
      - {{name: lower, filter: [{{function: lowercase}}, {{function: take_first}}]}}
    """,
    "several": f"""{_SEVERAL}
    metric_list:
      - {{metric: !function helpers.shared, {_MEAN}: true}}
      - {{metric: !function helpers.missing, {_MEAN}: false}}
      - {{metric: exact_match, {_MEAN}: true}}
      - {{metric: !function helpers.count, {_MEAN}: false}}
    """,
    "references": f"""{_BASE}
    process_results: !function references.keep
    metric_list: [{{metric: chrf, aggregation: chrf, higher_is_better: true}}]
    """,
}
CASES = [
    *(Case(name, name, [[text] for text in SAID]) for name in TASKS),
    Case("limited", "unnamed", [[text] for text in SAID], limit=4),
    Case("chosen", "unnamed", [[text] for text in SAID], samples=[2, 5, 9]),
]


class NoLikelihoods:
    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        raise AssertionError("these tasks only generate")


def scripted(case: Case) -> Scripted:
    return Scripted(case, NoLikelihoods())


@dataclass(frozen=True)
class Both:
    folder: TaskFolder
    peer: dict[str, Any]

    def task(self, name: str, parity: Dialect | None = None, **settings: Any) -> Task:
        (spec,) = TaskManager([self.folder.path]).select([name], dialect=parity)
        return Task(spec, settings=TaskSettings(parity=parity, bootstrap_iters=10, **settings))

    def prompts(self, case: str) -> list[str]:
        return list(self.peer[case]["prompts"])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = TaskFolder(tmp_path_factory.mktemp("differences"))
    # Texts and lists in one column are none for Arrow, so a function has the targets.
    rows = [{"row": i, **{k: v for k, v in d.items() if k != "golds"}} for i, d in enumerate(DOCS)]
    folder.rows("test.jsonl", rows)
    folder.rows("twins.jsonl", [rows[i % 4] for i in range(N)])
    folder.write("helpers.py", HELPERS)
    folder.write(
        "references.py",
        """
        def keep(doc, results):
            return {"chrf": [doc["references"], results[0]]}
        """,
    )
    folder.write(
        "golds.py",
        f"GOLDS = {[d['golds'] for d in reversed(DOCS)]!r}\n\n\n"
        "def of(doc):\n    return GOLDS[doc['row']]\n",
    )
    for name, body in TASKS.items():
        folder.write(f"{name}.yaml", f"    task: {name}\n{body}")
    return Both(folder, run_peer(folder.path, CASES, scripted))


def prompts(task: Task) -> list[str]:
    return [str(task.instances(doc_id)[0].context) for doc_id in task.doc_ids()]


def leaks(shown: list[str]) -> list[int]:
    """Return the places of prompts that hold the doc's own answer."""
    return [i for i, text in enumerate(shown) if f"{text.split()[-1]} " in text]


def score(task: Task, doc_ids: list[int] | None = None) -> list[Sample]:
    ids = list(task.doc_ids()) if doc_ids is None else doc_ids
    return task.score(ids, [[Response(text=SAID[doc_id])] for doc_id in ids])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_under_parity_all_is_as_in_lm_eval(both: Both, case: Case) -> None:
    task = both.task(case.task, "lm_eval", limit=case.limit, samples=case.samples)
    peer = both.peer[case.name]
    assert prompts(task) == peer["prompts"]
    samples = {sample.doc_id: sample for sample in score(task)}
    for row in peer["samples"][case.task]:
        scores = samples[row["doc_id"]].scores
        for metric in row["metrics"]:
            given = scores[f"{metric},{row['filter']}"]
            assert (list(given) if isinstance(given, tuple) else given) == row[metric]
    for key in next(iter(samples.values())).scores:
        metric = key.partition(",")[0]
        values = [sample.scores[key] for sample in samples.values()]
        assert task.value(metric, values) == peer["results"][case.task][key]


@pytest.mark.parametrize("name", ["unnamed", "validation", "first", "twins"])
def test_a_doc_is_never_among_its_own_shots(both: Both, name: str) -> None:
    theirs, ours = both.prompts(name), prompts(both.task(name))
    assert leaks(theirs)
    assert not leaks(ours)
    assert {text.count("\n\n") for text in ours} == {text.count("\n\n") for text in theirs}


@pytest.mark.parametrize("name", ["unnamed", "validation", "first", "twins"])
def test_all_other_shots_are_lm_evals(both: Both, name: str) -> None:
    theirs, ours = both.prompts(name), prompts(both.task(name))
    for i, (wanted, found) in enumerate(zip(theirs, ours, strict=True)):
        kept = [shot for shot in wanted.split("\n\n")[:-1] if shot.split()[0] != f"Q{i}"]
        if name == "twins":
            kept = [shot for shot in kept if shot.split()[0] != f"Q{i % 4}"]
        assert found.split("\n\n")[:-1][: len(kept)] == kept


def test_shots_are_lm_evals_where_it_keeps_the_doc_out_itself(both: Both) -> None:
    assert prompts(both.task("named")) == both.prompts("named")


def test_a_replaced_shot_does_not_depend_on_the_other_docs(both: Both) -> None:
    whole = prompts(both.task("unnamed"))
    for doc_id in range(N):
        assert prompts(both.task("unnamed", samples=[doc_id])) == [whole[doc_id]]


def test_chosen_docs_have_the_shots_of_a_whole_run(both: Both) -> None:
    whole = prompts(both.task("unnamed"))
    assert prompts(both.task("unnamed", samples=[2, 5, 9])) == [whole[i] for i in (2, 5, 9)]
    assert both.prompts("chosen") != [both.prompts("unnamed")[i] for i in (2, 5, 9)]


def test_a_pool_of_nothing_but_the_doc_is_told(both: Both) -> None:
    with pytest.raises(TaskError, match="num_fewshot is 12, but only 11 docs can be shots"):
        prompts(both.task("unnamed", num_fewshot=12))


def test_guesses_depend_on_the_doc_alone(both: Both) -> None:
    whole = {s.doc_id: s.scores for s in score(both.task("guessed"))}
    for part in ([3, 1], [7], list(range(8))):
        assert {s.doc_id: s.scores for s in score(both.task("guessed"), part)} == {
            doc_id: whole[doc_id] for doc_id in part
        }
    theirs = both.peer["guessed"]["samples"]["guessed"]
    assert [row["lucky"] for row in theirs[:N]] != [s["lucky,plain"] for s in whole.values()]


def test_random_numbers_of_parity_begin_at_the_seeds_of_the_run(both: Both) -> None:
    first = score(both.task("guessed", "lm_eval"))
    other = score(both.task("guessed", "lm_eval", random_seeds=(1, 1)))
    assert [s.scores for s in first] != [s.scores for s in other]
    again = both.task("guessed", "lm_eval")
    assert [s.scores for s in score(again)] == [s.scores for s in score(again)]


def test_of_several_targets_the_best_counts(both: Both) -> None:
    task = both.task("several")
    scores = [sample.scores for sample in score(task)]
    # Doc 0 said "red rose" and may say "red rose" or "blue"; doc 2 said "blue", and may say "red".
    assert scores[0] == {
        "shared,none": 0.6,  # r, e, d, space, o, s
        "missing,none": 0,
        "exact_match,none": 1.0,
        "count,none": 8,
    }
    assert scores[2] == {
        "shared,none": 0.1,  # e; not the letters of "red" one by one
        "missing,none": 2,
        "exact_match,none": 0.0,
        "count,none": 4,
    }
    theirs = {row["doc_id"]: row for row in both.peer["several"]["samples"]["several"]}
    assert [theirs[0][m] for m in ("shared", "missing", "exact_match", "count")] == [1, 1, 1, 1]
    assert [theirs[2][m] for m in ("shared", "missing", "exact_match", "count")] == [1, 1, 0, 1]


def test_docs_with_unequal_numbers_of_references_are_told(both: Both) -> None:
    task = both.task("references")
    scores = [sample.scores["chrf,none"] for sample in score(task)]
    with pytest.raises(TaskError, match="docs have different numbers of references"):
        task.value("chrf", scores)


def test_a_limit_takes_a_sample_unless_the_first_docs_are_asked_for(both: Both) -> None:
    assert list(both.task("unnamed", limit=4).doc_ids()) != [0, 1, 2, 3]
    assert list(both.task("unnamed", limit=4, limit_from="first").doc_ids()) == [0, 1, 2, 3]
    assert list(both.task("unnamed", "lm_eval", limit=4).doc_ids()) == [0, 1, 2, 3]
    sample = both.task("unnamed", "lm_eval", limit=4, limit_from="random")
    assert sample.doc_ids() == both.task("unnamed", limit=4).doc_ids()


def test_parity_is_part_of_the_fingerprint(both: Both) -> None:
    assert "parity" not in both.task("unnamed").fingerprint()["settings"]
    assert both.task("unnamed", "lm_eval").fingerprint()["settings"]["parity"] == "lm_eval"


def test_parity_with_a_peer_needs_its_rules(both: Both, tmp_path: Path) -> None:
    (spec,) = TaskManager([both.folder.path]).select(["unnamed"])
    with pytest.raises(TaskError, match="is read by the rules of lm_eval, so its number cannot"):
        Task(spec, settings=TaskSettings(parity="lmms_eval"))
