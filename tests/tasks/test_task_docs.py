"""The examples of docs/tasks.md work as they stand there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from task_builders import TaskFolder, answer, ask, values

DOCS = Path(__file__).parents[2] / "docs" / "tasks.md"
# A file's name in backquotes and a colon, then its content.
EXAMPLE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    for name, content in EXAMPLE.findall(DOCS.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return TaskFolder(tmp_path)


@pytest.mark.parametrize(
    ("name", "prompt", "answers", "key", "scores"),
    [
        (
            "capitals.yaml",
            "What is the capital of France? Answer with its name only.",
            ["paris.", "Kyoto"],
            "exact_match,none",
            [1.0, 0.0],
        ),
        (
            "functions.yaml",
            "Capital of France:",
            ["It is Paris", "Kyoto"],
            "right,none",
            [True, False],
        ),
    ],
)
def test_text_examples_ask_and_score(
    folder: TaskFolder,
    name: str,
    prompt: str,
    answers: Sequence[str],
    key: str,
    scores: list[float],
) -> None:
    task = folder.task(name)
    assert ask(task)[0] == prompt
    samples = answer(task, answers)
    assert values(samples, key) == scores
    metric, _, name = key.partition(",")
    assert task.aggregate(metric, name, values(samples, key))[0] == 0.5
    if "words,none" in samples[0].scores:
        assert task.aggregate("words", "none", values(samples, "words,none")) == (3.0, None)


def test_the_image_example_asks_and_scores(folder: TaskFolder) -> None:
    task = folder.task("shapes.yaml", chat=True)
    (message,) = ask(task)[0]
    assert message.text == "Which colour is this?\nAnswer the question using a single word."
    assert message.content[0].image.getpixel((0, 0)) == (255, 0, 0)
    samples = answer(task, ["Red.", "It is green", "42"])
    assert values(samples, "exact_match,first-word") == [1.0, 0.0, 0.0]
    assert [sample.outcome for sample in samples] == ["scored", "scored", "unparsed"]


def test_every_key_that_the_page_refuses_or_ignores_is_a_key() -> None:
    from pytest_lmmeval.tasks.files.schema import KEYS

    last = DOCS.read_text(encoding="utf-8").rpartition("## What is not there yet")[2]
    named = {"class", "use_prompt", "should_decontaminate", "full_docs", "task_list"}
    assert named <= set(KEYS)
    assert all(name in last for name in named)
