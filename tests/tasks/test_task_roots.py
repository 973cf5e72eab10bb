"""A task file runs no code but the functions beside it, in folders that the user named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder

from pytest_lmmeval.errors import DataError, LmmError, TaskError
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.task import Task


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path / "named")
    folder.path.mkdir()
    folder.docs(QUESTIONS)
    return folder


def _with_include(folder: TaskFolder, include: str) -> Path:
    lines = [line for line in MINIMAL.splitlines() if "doc_to_text" not in line]
    return folder.write("task.yaml", "\n".join(lines) + f"\n    include: {include}\n")


def _outside(folder: TaskFolder) -> Path:
    outside = folder.path.parent / "outside"
    outside.mkdir()
    (outside / "base").write_text("doc_to_text: !function text.text\n")
    (outside / "text.py").write_text("def text(doc):\n    return 'from outside'\n")
    return outside


def _select(path: Path, *include_path: Path) -> TaskConfig:
    (spec,) = TaskManager(include_path).select([str(path)])
    return spec.config


def test_an_include_that_leaves_the_named_folders_brings_no_function(folder: TaskFolder) -> None:
    outside = _outside(folder)
    path = _with_include(folder, "../outside/base")
    with pytest.raises(TaskError, match="stands outside the folders that were named") as caught:
        _select(path)
    assert (caught.value.path, caught.value.line) == (outside / "base", 1)
    assert f"--lmm-include-path={outside}" in str(caught.value)


def test_naming_the_folder_too_lets_it_in(folder: TaskFolder) -> None:
    outside = _outside(folder)
    path = _with_include(folder, "../outside/base")
    task = Task(_select(path, outside))
    assert task.instances(0)[0].context == "from outside"


def test_an_include_without_functions_may_lie_anywhere(folder: TaskFolder) -> None:
    outside = _outside(folder)
    (outside / "base").write_text("doc_to_text: question\n")
    assert _select(_with_include(folder, "../outside/base")).doc_to_text == "question"


def test_a_group_brings_no_function_from_outside_either(folder: TaskFolder) -> None:
    _outside(folder)
    folder.write("task.yaml", MINIMAL)
    group = folder.write("group.yaml", "group: g\ntask: [minimal]\ninclude: ../outside/base\n")
    with pytest.raises(TaskError, match="stands outside the folders that were named"):
        TaskManager().select([str(group)])


def test_a_file_in_a_peers_tree_may_include_from_all_over_the_tree(tmp_path: Path) -> None:
    folder = TaskFolder(tmp_path / "lm_eval" / "tasks" / "one" / "two")
    folder.path.mkdir(parents=True)
    folder.docs(QUESTIONS)
    shared = folder.path.parents[1] / "shared"
    shared.mkdir()
    (shared / "base").write_text("doc_to_text: !function text.text\n")
    (shared / "text.py").write_text("def text(doc):\n    return 'shared'\n")
    task = Task(_select(_with_include(folder, "../../shared/base")))
    assert task.instances(0)[0].context == "shared"


@pytest.mark.parametrize(
    "spec", ["os.system", "../outside/text.text", "/outside/text.text", "..outside.text.text"]
)
def test_a_tag_reaches_no_module_elsewhere(folder: TaskFolder, spec: str) -> None:
    _outside(folder)
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', f"!function {spec}"))
    with pytest.raises(TaskError, match=r"!function .*: (expected 'module.name'|there is no)"):
        folder.task().instances(0)


def test_selecting_a_task_executes_none_of_its_modules(folder: TaskFolder) -> None:
    folder.write("text.py", "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function text.text"))
    folder.task()
    assert not (folder.path / "ran").exists()


class _Evil:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self._path,)


def test_data_that_are_code_are_not_run(folder: TaskFolder) -> None:
    mark = folder.path / "ran"
    (folder.path / "rows.pkl").write_bytes(pickle.dumps(_Evil(mark)))
    (folder.path / "scripted").mkdir()
    script = f"from pathlib import Path\nPath({str(mark)!r}).touch()\n"
    (folder.path / "scripted" / "scripted.py").write_text(script)
    rest = "test_split: test\ndoc_to_text: question\ndoc_to_target: answer\n"
    data = {
        "pickled": "dataset_path: pandas\ndataset_kwargs: {data_files: {test: rows.pkl}}\n",
        "scripted": "dataset_path: scripted\n",
    }
    for name, lines in data.items():
        folder.write(f"{name}.yaml", f"task: {name}\n{lines}{rest}")
        with pytest.raises(DataError, match=f"{name}.yaml:"):
            folder.task(f"{name}.yaml").doc_ids()
    assert not mark.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch ran') }}",
        "{{ self.__init__.__globals__ }}",
        "{{ question.__class__ }}",
        "{{ '{0.__class__}'.format(question) }}",
        "{% set f = question.format %}{{ f.__self__.__class__ }}",
    ],
)
def test_templates_are_kept_in_a_sandbox(folder: TaskFolder, template: str) -> None:
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', json.dumps(template)))
    with pytest.raises(LmmError, match=r"task\.yaml:4: .*doc_to_text failed"):
        folder.task().instances(0)
