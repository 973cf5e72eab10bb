"""What makes a baseline stale, and what does not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pytest_lmmeval.gates.baseline import Baseline, BaselineDocs, BaselineKey, BaselineRun
from pytest_lmmeval.gates.staleness import stale_fields

BEFORE = Baseline(
    key=BaselineKey("gsm8k", "fp8", "smoke"),
    docs=BaselineDocs(range(100), "a" * 64, "b" * 64, "c" * 64, "3", "1"),
    run=BaselineRun(
        dialect="lm_eval",
        message_format="chat",
        num_fewshot=5,
        gen_kwargs={"temperature": 0, "until": ["\n"]},
        chat_template_sha256="d" * 64,
        settings={"fewshot_as_multiturn": False},
        model={"name": "llama"},
        versions={"vllm": "0.32"},
        hardware="H100",
    ),
)


def _docs(**changes: Any) -> Baseline:
    return dataclasses.replace(BEFORE, docs=dataclasses.replace(BEFORE.docs, **changes))


def _run(**changes: Any) -> Baseline:
    return dataclasses.replace(BEFORE, run=dataclasses.replace(BEFORE.run, **changes))


def _key(**changes: Any) -> Baseline:
    return dataclasses.replace(BEFORE, key=dataclasses.replace(BEFORE.key, **changes))


def test_the_same_questions_asked_in_the_same_way_can_be_compared() -> None:
    assert stale_fields(BEFORE, BEFORE) == []


@pytest.mark.parametrize(
    "after",
    [
        _run(model={"name": "qwen", "revision": "x"}),
        _run(versions={"vllm": "0.33"}),
        _run(hardware="H200"),
        _run(limit=100),
        _key(suite="release"),
    ],
    ids=["model", "versions", "hardware", "limit", "suite"],
)
def test_what_the_gate_is_there_to_judge_may_change(after: Baseline) -> None:
    assert stale_fields(BEFORE, after) == []


@pytest.mark.parametrize(
    ("after", "change"),
    [
        (_docs(data_sha256="e" * 64), "docs.data_sha256 aaaaaaaa… -> eeeeeeee…"),
        (_docs(prompt_sha256="e" * 64), "docs.prompt_sha256 bbbbbbbb… -> eeeeeeee…"),
        (_docs(target_sha256=None), "docs.target_sha256 cccccccc… -> (not recorded)"),
        (_docs(task_version="4"), "docs.task_version 3 -> 4"),
        (_docs(scorer_version="2"), "docs.scorer_version 1 -> 2"),
        (_run(dialect="lmms_eval"), "run.dialect lm_eval -> lmms_eval"),
        (_run(message_format="simple"), "run.message_format chat -> simple"),
        (_run(num_fewshot=0), "run.num_fewshot 5 -> 0"),
        (_run(chat_template_sha256=None), "run.chat_template_sha256 dddddddd… -> (not recorded)"),
        (_run(settings={}), "run.settings.fewshot_as_multiturn false -> (not recorded)"),
        (
            _run(gen_kwargs={"temperature": 0.7, "until": ["\n"]}),
            "run.gen_kwargs.temperature 0 -> 0.7",
        ),
        (_key(task="gsm8k_cot"), "key.task gsm8k -> gsm8k_cot"),
        (_key(variant="bf16"), "key.variant fp8 -> bf16"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_a_changed_question_is_named_with_both_values(after: Baseline, change: str) -> None:
    assert [str(found) for found in stale_fields(BEFORE, after)] == [change]


def test_other_docs_are_one_change_although_all_digests_differ() -> None:
    after = _docs(ids=range(50), data_sha256="e" * 64, prompt_sha256="f" * 64)
    [change] = stale_fields(BEFORE, after)
    assert change.field == "docs.ids"
    assert change.old.startswith("100 docs (0 to 99, ")
    assert change.new.startswith("50 docs (0 to 49, ")


def test_as_many_docs_with_the_same_ends_still_differ() -> None:
    before, after = _docs(ids=(0, 1, 3)), _docs(ids=(0, 2, 3))
    [change] = stale_fields(before, after)
    assert change.old != change.new


def test_a_tuple_is_the_list_that_the_file_makes_of_it() -> None:
    assert stale_fields(BEFORE, _run(gen_kwargs={"temperature": 0.0, "until": ("\n",)})) == []


def test_long_values_are_shortened() -> None:
    [change] = stale_fields(BEFORE, _run(gen_kwargs={"temperature": 0, "until": ["x" * 500]}))
    assert change.field == "run.gen_kwargs.until"
    assert len(change.new) <= 60


def test_several_changes_come_in_the_files_order() -> None:
    after = dataclasses.replace(_docs(task_version="4"), run=_run(num_fewshot=0).run)
    assert [change.field for change in stale_fields(BEFORE, after)] == [
        "docs.task_version",
        "run.num_fewshot",
    ]
