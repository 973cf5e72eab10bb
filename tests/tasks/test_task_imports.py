"""What a task's modules import from the peers and from packages that may be missing."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer, ask, values

from pytest_lmmeval.errors import TaskUnavailable
from pytest_lmmeval.tasks.functions.compat.loguru import logger
from pytest_lmmeval.tasks.functions.compat.squad import compute_exact, compute_f1

TEXT = MINIMAL.replace('"{{question}}"', "!function helpers.text")


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:3])
    return folder


def test_an_import_inside_a_function_gets_the_stand_in_too(folder: TaskFolder) -> None:
    folder.write(
        "helpers.py",
        """
        def text(doc):
            from lm_eval.utils import general_detokenize
            import lmms_eval.filters.extraction as extraction

            return general_detokenize("do n't ") + extraction.RegexFilter.__name__
        """,
    )
    folder.write("task.yaml", TEXT)
    before = set(sys.modules)
    assert ask(folder.task())[0] == "don't RegexFilter"
    assert not {name for name in set(sys.modules) - before if name.startswith("lm")}


def test_a_task_in_a_peers_tree_imports_its_siblings_from_there(folder: TaskFolder) -> None:
    tree = "copy/lmms_eval"
    folder.write(f"{tree}/__init__.py", "raise RuntimeError('not needed')\n")
    folder.write(f"{tree}/tasks/_task_utils/words.py", "WORD = 'sibling'\n")
    folder.write(f"{tree}/tasks/other/__init__.py", "from .parts import *\n")
    folder.write(f"{tree}/tasks/other/parts.py", "__all__ = ['PART']\nPART, REST = 'part', 1\n")
    folder.write(
        f"{tree}/tasks/mine/helpers.py",
        """
        from lmms_eval.tasks._task_utils.words import WORD
        from lmms_eval.tasks._task_utils import words
        from lmms_eval.tasks.other import *


        def text(doc):
            return f"{WORD} {words.WORD} {PART}"
        """,
    )
    folder.write(f"{tree}/tasks/mine/docs.py", folder.path.joinpath("docs.py").read_text())
    folder.write(f"{tree}/tasks/mine/task.yaml", TEXT)
    assert ask(folder.task(f"{tree}/tasks/mine/task.yaml"))[0] == "sibling sibling part"


def test_a_function_may_be_named_by_a_peers_module(folder: TaskFolder) -> None:
    folder.write("lm_eval/tasks/other/helpers.py", "def text(doc):\n    return 'other'\n")
    folder.write("lm_eval/tasks/mine/docs.py", folder.path.joinpath("docs.py").read_text())
    yaml = TEXT.replace("helpers.text", "lm_eval.tasks.other.helpers.text")
    folder.write("lm_eval/tasks/mine/task.yaml", yaml)
    assert ask(folder.task("lm_eval/tasks/mine/task.yaml"))[0] == "other"


def test_modules_that_import_each_other_are_executed_once(folder: TaskFolder) -> None:
    folder.write("lm_eval/tasks/a/one.py", "import lm_eval.tasks.a.two\nNAME = 'one'\n")
    folder.write(
        "lm_eval/tasks/a/two.py",
        "from lm_eval.tasks.a import one\n\ndef text(doc):\n    return one.NAME\n",
    )
    folder.write("lm_eval/tasks/a/docs.py", folder.path.joinpath("docs.py").read_text())
    yaml = TEXT.replace("helpers.text", "lm_eval.tasks.a.two.text")
    folder.write("lm_eval/tasks/a/task.yaml", yaml)
    assert ask(folder.task("lm_eval/tasks/a/task.yaml"))[0] == "one"


@pytest.mark.parametrize(
    ("imported", "command"),
    [
        ("no_such_package.part", "pip install no_such_package"),
        ("lmms_eval.no_such_module", "pip install --no-deps lmms-eval"),
    ],
)
def test_a_missing_package_comes_with_what_to_install(
    folder: TaskFolder, imported: str, command: str
) -> None:
    folder.write("helpers.py", f"import {imported} as part\npart.use()\n")
    folder.write("task.yaml", TEXT)
    with pytest.raises(TaskUnavailable, match=f"is not installed; {command}$"):
        ask(folder.task())


def test_without_loguru_its_logger_logs(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "loguru", None)
    folder.write(
        "helpers.py",
        """
        from loguru import logger


        def text(doc):
            logger.opt(colors=True).info("asked {} of {n}", doc["answer"], n=3)
            return "x"
        """,
    )
    folder.write("task.yaml", TEXT)
    with caplog.at_level(logging.INFO):
        ask(folder.task())
    assert caplog.messages == ["asked 0 of 3", "asked 2 of 3", "asked 4 of 3"]


def test_a_message_with_braces_and_no_arguments_is_left_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger.warning("{not a field}")
    assert caplog.messages == ["{not a field}"]


def test_squads_metrics_are_there_though_transformers_dropped_them(folder: TaskFolder) -> None:
    folder.write(
        "helpers.py",
        """
        import transformers.data.metrics.squad_metrics as squad_metrics


        def score(doc, results):
            return {"f1": squad_metrics.compute_f1(doc["answer"], results[0])}
        """,
    )
    folder.write("task.yaml", MINIMAL + "    process_results: !function helpers.score\n")
    samples = answer(folder.task(), ["the 0.", "3", "4 5"])
    assert values(samples, "f1,none") == [1, 0, pytest.approx(2 / 3)]


@pytest.mark.parametrize(
    ("gold", "said", "exact", "f1"),
    [
        ("The cat sat", "a cat, sat!", 1, 1.0),
        ("cat sat", "the cat sat down", 0, 0.8),
        ("", "", 1, 1),
        ("", "no", 0, 0),
    ],
)
def test_squads_metrics_by_hand(gold: str, said: str, exact: int, f1: float) -> None:
    assert compute_exact(gold, said) == exact
    assert compute_f1(gold, said) == pytest.approx(f1)
