"""A task file that cannot be read costs one paragraph with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from task_builders import TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.files.config_reader import load_config
from pytest_lmmeval.tasks.files.yaml_files import Block, load_source, parse_file
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef
from pytest_lmmeval.warnings import LmmWarning


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return TaskFolder(tmp_path)


def failure(path: Path) -> TaskError:
    with pytest.raises(TaskError) as caught:
        load_source(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return caught.value


def test_every_key_knows_its_line(folder: TaskFolder) -> None:
    path = folder.write(
        "task.yaml",
        """
        # A comment.
        task: a
        metric_list:
          - metric: acc

          - metric: exact_match
            ignore_case: true
        """,
    )
    block = parse_file(path)
    assert block.lines == {"task": 2, "metric_list": 3}
    entries = block["metric_list"]
    assert [entry.line for entry in entries] == [4, 6]
    assert entries[1].lines == {"metric": 6, "ignore_case": 7}
    assert isinstance(entries[1], Block)
    assert entries[1].path == path


def test_a_function_tag_is_a_name_until_it_is_used(folder: TaskFolder) -> None:
    path = folder.write("task.yaml", "task: a\nprocess_docs: !function no.such.thing\n")
    ref = parse_file(path)["process_docs"]
    assert ref == FunctionRef("no.such.thing", path, 2)
    assert (ref.module, ref.name) == ("no.such", "thing")
    assert ref.file == folder.path / "no" / "such.py"


def test_anchors_and_merge_keys_work(folder: TaskFolder) -> None:
    path = folder.write(
        "task.yaml",
        """
        task: a
        base: &base {x: 1, y: 2}
        more: {<<: *base, y: 3}
        """,
    )
    assert parse_file(path)["more"] == {"x": 1, "y": 3}


def test_later_includes_win_in_lm_eval_and_earlier_ones_in_lmms_eval(folder: TaskFolder) -> None:
    folder.write("sub/one", "shared: 1\nonly_one: 1\ninclude: deeper\n")
    folder.write("sub/deeper", "deep: {a: 1}\nshared: 0\n")
    folder.write("two.yaml", "shared: 2\nlocal: 2\ndeep: {b: 2}\n")
    path = folder.write("task.yaml", "task: a\ninclude: [sub/one, two.yaml]\nlocal: 3\n")
    source = load_source(path)
    assert source.keys() == {"task", "shared", "only_one", "deep", "local"}

    lm_eval = source.merged(first_include_wins=False)
    assert lm_eval.values == {"task": "a", "shared": 2, "only_one": 1, "deep": {"b": 2}, "local": 3}
    assert lm_eval.origins["shared"].path.name == "two.yaml"
    assert lm_eval.origins["only_one"].line == 2
    assert lm_eval.include_line == 2

    lmms_eval = source.merged(first_include_wins=True)
    assert lmms_eval.values["shared"] == 1
    assert lmms_eval.values["deep"] == {"a": 1}
    assert lmms_eval.values["local"] == 3


def test_one_file_may_be_included_on_two_ways(folder: TaskFolder) -> None:
    folder.write("base", "x: 1\n")
    folder.write("left", "include: base\n")
    folder.write("right", "include: base\n")
    path = folder.write("task.yaml", "task: a\ninclude: [left, right]\n")
    assert load_source(path).merged(first_include_wins=False).values["x"] == 1


def test_an_include_that_goes_in_a_circle_is_named(folder: TaskFolder) -> None:
    folder.write("b.yaml", "x: 1\ninclude: a.yaml\n")
    path = folder.write("a.yaml", "task: a\ninclude: b.yaml\n")
    with pytest.raises(TaskError, match=r"b\.yaml:2: .*a\.yaml → b\.yaml → a\.yaml"):
        load_source(path)


def test_a_missing_include_names_the_nearest_file(folder: TaskFolder) -> None:
    folder.write("_template_yaml", "x: 1\n")
    path = folder.write("task.yaml", "task: a\n\ninclude: _templat_yaml\n")
    error = failure(path)
    assert error.line == 3
    assert "Did you mean '_template_yaml'?" in str(error)


def test_an_include_that_is_no_path_is_refused(folder: TaskFolder) -> None:
    path = folder.write("task.yaml", "task: a\ninclude: [3]\n")
    assert "expected a path or a list of paths" in str(failure(path))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("task: a\n\tdoc_to_text: b\n", 2, "this line starts with a tab"),
        ("task: a\nmetric_list: [1, 2\n", 3, "is not valid YAML"),
        ("task: a\ndoc_to_text: 'b\n", 3, "is not valid YAML"),
        ("task: a\ndoc_to_text: {{question}}\n", 2, "a template that starts with '{' needs quotes"),
        ("- task\n- other\n", 1, "found a list"),
        ("just text\n", 1, "found a single value"),
        ("", 1, "found nothing"),
        ("# only a comment\n", 1, "found nothing"),
        ("a: 1\n---\nb: 2\n", 2, "is not valid YAML"),
        ("task: !!python/object:os.system x\n", 1, "is not valid YAML"),
        ("task: !unknown x\n", 1, "is not valid YAML"),
        ("task: a\nx: !function [1]\n", 2, "!function takes 'module.name'"),
        ("task: a\nx: b\x07c\n", 2, "is not YAML: it holds"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_line(
    folder: TaskFolder, text: str, line: int, message: str
) -> None:
    path = folder.path / "task.yaml"
    path.write_text(text)
    error = failure(path)
    assert message in str(error)
    assert error.line == line


def test_a_key_said_twice_with_one_value_does_no_harm(folder: TaskFolder) -> None:
    path = folder.write("task.yaml", "task: a\nnum_fewshot: 5\nx: 1\nnum_fewshot: 5\n")
    assert parse_file(path)["num_fewshot"] == 5


def test_of_a_key_said_twice_the_last_counts_with_a_warning_that_names_both_lines(
    folder: TaskFolder,
) -> None:
    text = "task: a\ngeneration_kwargs:\n  until: ['x']\n  top_p: 1\n  until: ['y']\n"
    path = folder.write("task.yaml", text)
    message = "key 'until' stands here and, with another value, in line 3; the last one counts"
    with pytest.warns(LmmWarning, match=message) as caught:
        config = load_config(path)
    assert config.generation_kwargs["until"] == ["y"]
    assert [(warning.filename, warning.lineno) for warning in caught] == [(str(path), 5)]
    # A file of our own format has no such past.
    with pytest.raises(TaskError, match=r"with another value, in line 3$") as refused:
        parse_file(path)
    assert refused.value.line == 5


def test_a_binary_file_is_no_task(folder: TaskFolder) -> None:
    path = folder.path / "task.yaml"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe")
    assert "not a text file in UTF-8" in str(failure(path))


def test_a_file_that_is_not_there_is_no_task(folder: TaskFolder) -> None:
    assert "No such file" in str(failure(folder.path / "none.yaml"))


def test_a_file_that_changes_is_read_again(folder: TaskFolder) -> None:
    path = folder.write("task.yaml", "task: a\n")
    assert parse_file(path)["task"] == "a"
    folder.write("task.yaml", "task: longer\n")
    assert parse_file(path)["task"] == "longer"
