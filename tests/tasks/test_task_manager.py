"""Names, groups, tags, globs and paths become tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from task_builders import TaskFolder

from pytest_lmmeval.errors import TaskError, UsageError
from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec
from pytest_lmmeval.warnings import LmmWarning

BODY = "dataset_path: json\ntest_split: test\ndoc_to_text: q\ndoc_to_target: a\n"


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.write("fruit/apple.yaml", f"task: apple\ntag: [fruit, red]\n{BODY}")
    folder.write("fruit/_base", f"tag: fruit\n{BODY}")
    folder.write("fruit/pear.yaml", "task: pear\ninclude: _base\n")
    folder.write("leek.yaml", f'"task": "leek"\n{BODY}')
    folder.write("group.yaml", "group: food\ntask: [leek, fruit]\n")
    folder.write("docker-compose.yaml", "services:\n  task: web\n")
    folder.write("template.yaml", BODY)
    folder.write("suite.lmm.yaml", "task: not_a_task\n")
    return folder


@pytest.fixture
def manager(folder: TaskFolder) -> TaskManager:
    return TaskManager([folder.path], include_defaults=False)


def names(specs: list[TaskSpec]) -> list[str]:
    return [spec.name for spec in specs]


def test_everything_in_a_folder_has_a_name(manager: TaskManager) -> None:
    assert manager.all_tasks() == ["apple", "leek", "pear"]
    assert manager.all_groups() == ["food"]
    assert manager.all_tags() == ["fruit", "red"]


def test_the_library_is_there_unless_it_is_left_out() -> None:
    assert {"ai2d", "gsm8k"} <= set(TaskManager().all_tasks())
    assert TaskManager(include_defaults=False).all_tasks() == []


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["leek"], ["leek"]),
        (["red"], ["apple"]),
        (["fruit"], ["apple", "pear"]),
        (["food"], ["leek", "apple", "pear"]),
        (["*e*r", "apple"], ["pear", "apple"]),
        (["pear", "fruit", "food"], ["pear", "apple", "leek"]),
        (["[al]*"], ["apple", "leek"]),
    ],
)
def test_names_stand_for_tasks_in_order_and_once(
    manager: TaskManager, asked: list[str], found: list[str]
) -> None:
    assert names(manager.select(asked)) == found


def test_a_spec_tells_where_a_task_comes_from(manager: TaskManager, folder: TaskFolder) -> None:
    (spec,) = manager.select(["food"])[:1]
    assert (spec.path, spec.groups, spec.library) == (folder.path / "leek.yaml", ("food",), False)
    (apple,) = manager.select(["apple"])
    assert (apple.tags, apple.groups) == (("fruit", "red"), ())
    (gsm8k,) = TaskManager().select(["gsm8k"])
    assert gsm8k.library


def test_paths_of_files_and_folders_stand_for_tasks(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = TaskManager()
    assert names(manager.select([str(folder.path / "leek.yaml")])) == ["leek"]
    assert names(manager.select([str(folder.path / "fruit")])) == ["apple", "pear"]
    monkeypatch.chdir(folder.path)
    assert names(manager.select(["fruit"])) == ["apple", "pear"]
    # The members of a group given by its path are looked for beside it.
    assert names(manager.select(["group.yaml"])) == ["leek", "apple", "pear"]


def test_a_file_without_a_task_is_refused(folder: TaskFolder) -> None:
    with pytest.raises(TaskError, match="names no 'task'"):
        TaskManager().select([str(folder.path / "template.yaml")])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("aple", "there is no task, group or tag 'aple' .* Did you mean 'apple'?"),
        ("gone.yaml", "there is no file 'gone.yaml'"),
        ("x*", "there is no task, group or tag 'x\\*'"),
    ],
)
def test_a_name_that_stands_for_nothing_is_told(
    manager: TaskManager, name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        manager.select([name])


def test_a_file_whose_name_cannot_be_read_is_told_when_it_is_missed(folder: TaskFolder) -> None:
    folder.write("broken.yaml", "task: [broken\ninclude: nowhere\n")
    with pytest.raises(UsageError) as caught:
        TaskManager([folder.path]).select(["broken"])
    first, second, third = str(caught.value).splitlines()
    assert first.startswith("there is no task, group or tag 'broken' (looked in ")
    assert second == "It may be in one of the files there that cannot be read:"
    assert third.startswith(f"  {folder.path / 'broken.yaml'}:")


def test_only_the_first_of_many_unreadable_files_are_shown(folder: TaskFolder) -> None:
    for number in range(8):
        folder.write(f"broken{number}.yaml", "task: [broken\n")
    with pytest.raises(UsageError) as caught:
        TaskManager([folder.path]).select(["nothing"])
    assert str(caught.value).count("is not valid YAML") == 5
    assert str(caught.value).endswith("and 3 more, which --lmm-tasks=list shows")


def test_a_folder_that_is_not_there_is_told(folder: TaskFolder) -> None:
    with pytest.raises(UsageError, match="none is not a folder"):
        TaskManager([folder.path / "none"])


def test_later_folders_replace_earlier_ones_and_the_library(folder: TaskFolder) -> None:
    folder.write("later/apple.yaml", f"task: apple\n{BODY}")
    folder.write("later/gsm8k.yaml", f"task: gsm8k\n{BODY}")
    manager = TaskManager([folder.path / "fruit", folder.path / "later"])
    for name in ("apple", "gsm8k"):
        (spec,) = manager.select([name])
        assert spec.path == folder.path / "later" / f"{name}.yaml"
    assert manager.select(["fruit"])[0].name == "pear"


GROUPS = """
group: outer
task:
  - leek
  - task: apple
    num_fewshot: 3
  - group: inner
    task:
      - pear
    repeats: 2
  - task: made_here
    dataset_path: csv
    doc_to_text: q
    doc_to_target: a
    test_split: test
num_fewshot: 1
"""


def test_groups_lay_their_settings_over_their_members(folder: TaskFolder) -> None:
    folder.write("outer.yaml", GROUPS)
    specs = {spec.name: spec for spec in TaskManager([folder.path]).select(["outer"])}
    assert {name: spec.config.num_fewshot for name, spec in specs.items()} == {
        "leek": 1,
        "apple": 3,
        "pear": 1,
        "outer::made_here": 1,
    }
    assert specs["pear"].config.repeats == 2
    assert specs["pear"].groups == ("outer", "outer::inner")
    assert specs["outer::made_here"].config.dataset_path == "csv"
    assert specs["outer::made_here"].path == folder.path / "outer.yaml"


def test_groups_may_hold_groups_with_settings_of_their_own(folder: TaskFolder) -> None:
    folder.write("big.yaml", "group: big\ntask: [{group: food, num_fewshot: 4}, red]\n")
    folder.write("food2.yaml", "group: snack\ntask: leek\nnum_fewshot: 9\n")
    manager = TaskManager([folder.path])
    assert [spec.config.num_fewshot for spec in manager.select(["snack"])] == [9]
    with pytest.raises(UsageError, match="'apple' comes out in two ways"):
        manager.select(["big"])


def test_one_task_with_two_settings_is_told_with_the_groups_and_what_differs(
    folder: TaskFolder,
) -> None:
    small = folder.write("small.yaml", "group: small\ntask:\n- {task: leek, num_fewshot: 2}\n")
    large = folder.write(
        "large.yaml",
        "group: large\ntask:\n- group: small\n- task: leek\n  num_fewshot: 3\n  repeats: 2\n",
    )
    manager = TaskManager([folder.path])
    with pytest.raises(UsageError) as caught:
        manager.select(["large"])
    assert str(caught.value).startswith(
        f"task 'leek' comes out in two ways, through 'large' ({large}:3) → 'small' ({small}:3) and "
        f"through 'large' ({large}:4), and these differ in num_fewshot (2 against 3), repeats (as "
        "its file has it against 2); "
    )
    with pytest.raises(UsageError, match=r"through 'small' \(.*:3\) and by its own name \(.*leek"):
        manager.select(["small", "leek"])


def test_the_runs_settings_win_over_all(folder: TaskFolder) -> None:
    folder.write("outer.yaml", GROUPS)
    specs = TaskManager([folder.path]).select(["outer"], overrides={"num_fewshot": 8})
    assert {spec.config.num_fewshot for spec in specs} == {8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("group: g\ntask: [aple]\n", "there is no task 'aple'. Did you mean 'apple'?"),
        ("group: g\ntask:\n  - leek\n  - [x]\n", "is no member; expected a name"),
        ("group: g\ntask: []\n", "'task' is \\[\\], expected a list of names"),
        ("group: g\ntask: [g]\n", "groups go in a circle: g → g"),
        ("group: g\ntask: [{task: leek, repeat: 2}]\n", "key 'repeat' .* Did you mean 'repeats'"),
    ],
)
def test_a_group_that_cannot_be_used_is_told(folder: TaskFolder, text: str, message: str) -> None:
    folder.write("g.yaml", text)
    with pytest.raises(TaskError, match=message):
        TaskManager([folder.path]).select(["g"])


def test_two_tasks_of_one_name_are_refused(folder: TaskFolder) -> None:
    other = folder.write("elsewhere/x.yaml", f"task: leek\n{BODY}")
    with pytest.raises(UsageError, match="two tasks are called 'leek'"):
        TaskManager().select([str(folder.path / "leek.yaml"), str(other)])


def test_of_two_files_of_a_folder_with_one_name_the_first_counts_with_a_warning(
    folder: TaskFolder,
) -> None:
    second = folder.write("z/leek.yaml", f"task: leek\n{BODY}")
    manager = TaskManager([folder.path])
    with pytest.warns(LmmWarning) as told:
        (spec,) = manager.select(["leek"])
    assert spec.path == folder.path / "leek.yaml"
    (warning,) = told
    assert f"'leek' is defined in {spec.path} and in {second}; the first" in str(warning.message)
    # Nobody who asks for something else, for the file itself, or has replaced it, is told.
    manager.select(["apple", str(second)])
    folder.write("later/leek.yaml", f"task: leek\n{BODY}")
    later = folder.path / "later"
    (spec,) = TaskManager([folder.path, later]).select(["leek"])
    assert spec.path == later / "leek.yaml"


def test_a_name_in_other_letters_is_near(manager: TaskManager) -> None:
    with pytest.raises(UsageError, match=r"Did you mean 'leek'\?"):
        manager.select(["LEEK"])


def test_selecting_imports_no_data_sets_and_no_task_modules(folder: TaskFolder) -> None:
    folder.write("bomb.py", "raise SystemExit('imported')\n")
    folder.write(
        "bomb.yaml",
        f"task: bomb\nprocess_docs: !function bomb.f\nmetric_list: [{{metric: !function bomb.g}}]\n"
        f"{BODY}",
    )
    script = f"""
import sys
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.task import Task
specs = TaskManager([{str(folder.path)!r}]).select(["bomb", "gsm8k", "ai2d"])
assert specs[0].config.metric_keys == [("g", "none")]
[Task(spec) for spec in specs]
heavy = {{"datasets", "torch", "transformers", "PIL", "scipy", "pandas"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_file_may_be_indented_or_json(folder: TaskFolder) -> None:
    folder.write("nested/a.yaml", "# note\n\n  task: indented\n  num_fewshot: 2\n")
    (folder.path / "nested" / "a.yaml").write_text("# x\n\n  task: indented\n  num_fewshot: 2\n")
    folder.write("nested/b.yaml", '{"task": "as_json", "tag": ["t"]}\n')
    manager = TaskManager([folder.path / "nested"], include_defaults=False)
    assert manager.all_tasks() == ["as_json", "indented"]
    assert manager.all_tags() == ["t"]


def test_an_old_group_in_a_task_is_a_tag(folder: TaskFolder) -> None:
    folder.write("old/x.yaml", f"task: old_task\ngroup: old_group\n{BODY}")
    manager = TaskManager([folder.path / "old"], include_defaults=False)
    assert manager.all_groups() == []
    assert names(manager.select(["old_group"])) == ["old_task"]
