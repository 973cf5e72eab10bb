"""Task folders on disk, and a task answered from a list of texts."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.records import Message, Response, Sample
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.task import Task, TaskSettings

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class TaskFolder:
    """A folder that tests write tasks into."""

    path: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file, with the indentation of the test taken out."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        return path

    def rows(self, name: str, rows: Rows) -> Path:
        """Write rows as JSON lines."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path = self.path / name
        path.write_text(lines, encoding="utf-8")
        return path

    def docs(self, rows: Rows, **splits: Rows) -> None:
        """Write ``docs.py``, whose ``splits`` gives the rows as split ``test``, and others."""
        data = {"test": list(rows), **{name: list(more) for name, more in splits.items()}}
        self.write("docs.py", f"def splits():\n    return {data!r}\n")

    def config(self, name: str = "task.yaml", **overrides: Any) -> TaskConfig:
        """Select a task by its path."""
        (spec,) = TaskManager().select([str(self.path / name)], overrides=overrides)
        return spec.config

    def task(self, name: str = "task.yaml", **settings: Any) -> Task:
        """Make the task of a file."""
        return Task(self.config(name), settings=TaskSettings(**settings))


MINIMAL = """
    task: minimal
    custom_dataset: !function docs.splits
    test_split: test
    doc_to_text: "{{question}}"
    doc_to_target: answer
"""

QUESTIONS: list[dict[str, Any]] = [
    {"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(8)
]


def ask(task: Task) -> list[Any]:
    """Return the context of each selected doc's first request."""
    return [task.instances(doc_id)[0].context for doc_id in task.doc_ids()]


def as_dicts(context: Any) -> list[dict[str, str]]:
    """Return messages of text as OpenAI writes them."""
    assert not isinstance(context, str)
    assert all(isinstance(message, Message) for message in context)
    return [{"role": message.role, "content": message.text} for message in context]


def answer(task: Task, answers: Sequence[str] | Mapping[int, str]) -> list[Sample]:
    """Answer each selected doc and score it; repeats get the same answer."""
    doc_ids = task.doc_ids()
    responses = []
    for doc_id in doc_ids:
        built = task.instances(doc_id)
        responses.append([Response(text=answers[doc_id]) for _ in built])
    return task.score(doc_ids, responses)


def values(samples: Sequence[Sample], key: str) -> list[Any]:
    """Return the scores under one ``"metric,filter"``."""
    return [sample.scores[key] for sample in samples]
