"""What is wrong with a whole task is told by one of its parts; the others point to it."""

from __future__ import annotations

import pytest
from projects import Project


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("test_split: test", "test_split: tset", "there is no split 'tset'"),
        ("{{number}}?", "{{numbre}}?", "no column 'numbre'"),
        ("take_first}", "take_first_k, k: 2}", "k=2 needs 'repeats' of at least 2"),
        ("!function rows.load", "!function rows.laod", "rows has no 'laod'"),
    ],
)
def test_a_fault_of_the_task_is_told_once(
    project: Project, old: str, new: str, message: str
) -> None:
    path = project.add_task("good", docs=8)
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    result = project.run("good.yaml", "-p", "no:randomly")
    outcomes = result.parseoutcomes()
    assert outcomes.get("failed", 0) + outcomes["errors"] == 5
    parts = result.stdout.str().partition("short test summary")[0]
    # A gate judges by itself, and may be told by itself.
    assert parts.count(message) in (1, 2)
    assert parts.count("the same as part:01") == 3


def test_parts_with_different_faults_tell_them(project: Project) -> None:
    project.add_task("good", docs=8)
    result = project.run("good.yaml", "-p", "no:randomly", FAIL="0,7")
    text = result.stdout.str()
    assert "500 for 0" in text
    assert "500 for 7" in text
    assert "the same as" not in text
