"""``--lmm-parity`` and ``--lmm-dialect``, and tasks whose docs are scored together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from projects import Project, results_of

from pytest_lmmeval.config.options import with_settings
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import UsageError

# Right only where the filter sees the responses to all docs.
COUNTED = """
doc_to_target: "30"
filter_list:
  - name: number
    filter:
      - {function: custom, filter_fn: !function count.docs}
      - {function: take_first}
"""
COUNT = """
def docs(resps, docs):
    return [[str(len(docs))] for _ in resps]
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    project = Project(pytester)
    project.add_task("plain", docs=30)
    return project


def run(project: Project, *args: str) -> dict[str, Any]:
    """Run the task and return its results file."""
    result = project.run("--lmm-output-path=out", *args)
    assert result.ret == 0, result.stdout.str()
    return results_of(project.pytester.path)


def changed(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_filter_of_the_tasks_own_sees_all_docs(
    project: Project, workers: tuple[str, ...]
) -> None:
    path = project.pytester.path / "plain.yaml"
    (project.pytester.path / "count.py").write_text(COUNT)
    own = path.read_text()
    head, tail = own.index("filter_list"), own.index("metric_list")
    body = own[:head] + COUNTED + own[tail:]
    path.write_text(body.replace('doc_to_target: "{{number}}"\n', "").replace("parts: 4\n", ""))
    found = run(project, "plain.yaml", *workers)
    assert found["results"]["plain"]["exact_match,number"] == 1.0
    listed = project.run("plain.yaml", "--collect-only", "-q").outlines
    assert [line for line in listed if "::" in line] == [
        "plain.yaml::part:01",
        "plain.yaml::exact_match,number",
    ]
    # Who states the parts says that the filters look at each doc alone.
    path.write_text(path.read_text() + "parts: 3\n")
    listed = project.run("plain.yaml", "--collect-only", "-q").outlines
    assert "plain.yaml::part:03" in listed


def test_parity_scores_guesses_in_one_part(project: Project) -> None:
    path = project.pytester.path / "plain.yaml"
    path.write_text(path.read_text() + "process_results: !function guess.score\n")
    (project.pytester.path / "guess.py").write_text(
        "import random\n\n\ndef score(doc, results):\n    return {'exact_match': random.random()}\n"
    )
    listed = project.run("plain.yaml", "--collect-only", "-q", "--lmm-parity=lm_eval").outlines
    assert sum("part:" in line for line in listed) == 1
    first = run(project, "plain.yaml", "--lmm-parity=lm_eval")
    (project.pytester.path / "out").rename(project.pytester.path / "first")
    again = run_again(project, "plain.yaml", "--lmm-parity=lm_eval", "-n", "2")
    assert first["results"] == again["results"]


def run_again(project: Project, *args: str) -> dict[str, Any]:
    result = project.run("--lmm-output-path=again", *args)
    assert result.ret == 0, result.stdout.str()
    return results_of(project.pytester.path / "again")


def test_parity_and_dialect_are_in_the_results(project: Project) -> None:
    found = run(project, "plain.yaml", "--lmm-parity=lm_eval", "--lmm-limit=5")
    assert found["fingerprints"]["plain"]["dialect"] == "lm_eval"
    assert found["fingerprints"]["plain"]["settings"]["parity"] == "lm_eval"
    assert found["config"]["parity"] == "lm_eval"
    assert found["config"]["limit_from"] == "first"


def test_the_dialect_can_be_forced_for_all_tasks(project: Project) -> None:
    found = run(project, "plain.yaml", "--lmm-dialect=lmms_eval")
    assert found["fingerprints"]["plain"]["dialect"] == "lmms_eval"
    assert found["config"]["limit_from"] == "random"


def test_parity_follows_the_rules_of_its_peer(project: Project) -> None:
    found = run(project, "--lmm-tasks=plain", "--lmm-include-path=.", "--lmm-parity=lmms_eval")
    assert found["fingerprints"]["plain"]["dialect"] == "lmms_eval"


def test_a_suite_may_ask_for_parity_task_by_task(project: Project) -> None:
    (project.pytester.path / "both.lmm.yaml").write_text(
        "lmmeval: 1\ntasks:\n"
        "  - {task: ./plain.yaml, name: own}\n"
        "  - {task: ./plain.yaml, name: theirs, parity: lmms_eval}\n"
    )
    found = run(project, "both.lmm.yaml")["fingerprints"]
    shown = {name: (f["dialect"], f["settings"].get("parity")) for name, f in found.items()}
    assert shown == {"own": ("lm_eval", None), "theirs": ("lmms_eval", "lmms_eval")}


def test_parity_and_dialect_that_exclude_each_other_are_told(project: Project) -> None:
    result = project.run("plain.yaml", "--lmm-parity=lm_eval", "--lmm-dialect=lmms_eval")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*parity=lm_eval follows the rules of lm_eval, but*"])
    with pytest.raises(UsageError, match="leave one of them out"):
        with_settings(RunConfig(parity="lm_eval"), dialect="lmms_eval")
    (project.pytester.path / "bad.lmm.yaml").write_text(
        "lmmeval: 1\ntasks:\n  - task: ./plain.yaml\n    parity: lm_eval\n    dialect: lmms_eval\n"
    )
    result = project.run("bad.lmm.yaml")
    result.stdout.fnmatch_lines(["*bad.lmm.yaml:4: parity=lm_eval follows the rules*"])


@pytest.mark.parametrize("option", ["parity", "dialect"])
def test_a_peer_that_there_is_not_is_told(project: Project, option: str) -> None:
    result = project.run("plain.yaml", f"--lmm-{option}=lmm_eval")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--lmm-{option}: 'lmm_eval'*one of lm_eval, lmms_eval*"])


def test_a_key_of_the_other_peer_ends_collection(project: Project) -> None:
    path = project.pytester.path / "plain.yaml"
    changed(path, "tag: numbers\n", "tag: numbers\nreasoning_tags: none\n")
    result = project.run("plain.yaml", "--lmm-parity=lm_eval")
    result.stdout.fnmatch_lines(["*plain.yaml:4: key 'reasoning_tags' is one of lmms_eval*"])


OVERLAY = """
under_parity:
  metric_list:
    - {metric: exact_match, ignore_case: true}
    - {metric: anls}
"""


def test_gates_are_those_of_the_metrics_under_parity(project: Project) -> None:
    path = project.pytester.path / "plain.yaml"
    path.write_text(path.read_text() + OVERLAY)
    (project.pytester.path / "both.lmm.yaml").write_text("lmmeval: 1\ntasks: [./plain.yaml]\n")
    for file in ("plain.yaml", "both.lmm.yaml"):
        own = project.run(file, "--collect-only", "-q").outlines
        theirs = project.run(file, "--collect-only", "-q", "--lmm-parity=lm_eval").outlines
        assert not any("::anls," in line for line in own)
        assert any("::anls," in line for line in theirs)
    found = run(project, "plain.yaml", "--lmm-parity=lm_eval")
    assert any(key.startswith("anls,") for key in found["results"]["plain"])
