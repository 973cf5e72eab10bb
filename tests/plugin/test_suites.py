"""``*.lmm.yaml`` suites: what they collect, whose settings win, and how their errors read."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from projects import Project, number_list, results_of
from servers import ScriptedServer

from pytest_lmmeval.config.options import with_settings
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError, TaskError
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.suites.suite import read_suite

MODELS = """
models:
  openai_compatible: {model: one, base_url: "http://127.0.0.1:1/v1", api_key: sk-of-the-suite}
  local-chat-completions: {model: two, base_url: "http://127.0.0.1:2/v1"}
"""


def write(project: Project, body: str, name: str = "evals/smoke.lmm.yaml") -> Path:
    path = project.pytester.path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"lmmeval: 1\n{body}")
    return path


def plans(project: Project, body: str, *, command_line: Any = None, **ini: Any) -> list[TaskPlan]:
    """Read a suite with what the command line and the ini file give."""
    config = with_settings(RunConfig(root=project.pytester.path), **ini, **(command_line or {}))
    config = dataclasses.replace(config, by_command_line=frozenset(command_line or {}))
    return read_suite(write(project, body), config, "evals/smoke.lmm.yaml")


@pytest.fixture
def one_task(project: Project) -> Project:
    project.add_task("good", docs=40)
    return project


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["plain", "workers"])
def test_a_suite_is_collected_without_any_option_and_its_gates_can_be_typed_back(
    one_task: Project, args: tuple[str, ...]
) -> None:
    write(
        one_task,
        "defaults: {floor: 0.5, baseline: false}\n"
        "tasks:\n"
        "  - {task: ../good.yaml, limit: 20, gates: {exact_match: {}}}\n"
        "  - {task: ../good.yaml, name: other, gates: {exact_match: {}}}\n",
    )
    gate = "evals/smoke.lmm.yaml::good::exact_match,number"
    one_task.run(*args).assert_outcomes(passed=10)
    found, result = one_task.verdicts(gate, *args)
    assert list(found) == ["good exact_match,number"]
    assert found["good exact_match,number"]["n"] == 20
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["smoke: good exact_match,number *100.0% * 20 *PASS*"])


def test_a_limit_of_the_command_line_wins(one_task: Project) -> None:
    body = """
settings: {limit: 30}
tasks:
  - ../good.yaml
  - {task: ../good.yaml, name: few, limit: 10}
"""
    assert [plan.config.limit for plan in plans(one_task, body)] == [30, 10]
    assert [p.config.limit for p in plans(one_task, body, limit=5)] == [30, 10]
    by_option = plans(one_task, body, command_line={"limit": 5})
    assert [plan.config.limit for plan in by_option] == [5, 5]
    # -1 lifts the limit, although it is what a run without any option has.
    lifted = plans(one_task, body, command_line={"limit": -1})
    assert [plan.config.limit for plan in lifted] == [None, None]


def test_margins_come_from_gate_then_defaults_then_profile(one_task: Project) -> None:
    body = """
profile: release
defaults: {max_drop: 2pp, max_failed: 1%}
tasks:
  - task: ../good.yaml
    gates: {exact_match: {max_drop: 0.5pp}}
  - {task: ../good.yaml, name: lenient, gates: {exact_match: {on_undecided: warn}}}
  - {task: ../good.yaml, name: bare}
"""

    def rules(**given: Any) -> list[tuple[str, str, float]]:
        return [
            (str(gate.rule.max_drop), gate.rule.on_undecided, gate.rule.max_failed)
            for plan in plans(one_task, body, **given)
            for gate in plan.gates
        ]

    expected = [("0.5pp", "fail"), ("2pp", "warn"), ("2pp", "fail")]
    assert rules() == [(*pair, 0.01) for pair in expected]
    assert rules(max_failed=0.3) == [(*pair, 0.01) for pair in expected]
    assert rules(command_line={"max_failed": 0.3}) == [(*pair, 0.3) for pair in expected]
    found = plans(one_task, body)
    assert [plan.gates[0].explicit for plan in found] == [True, True, False]


def test_gates_are_those_of_the_task_file_if_the_suite_asks_for_none(one_task: Project) -> None:
    task = one_task.pytester.path / "good.yaml"
    text = task.read_text()
    task.write_text(text + "gates:\n  exact_match: {floor: 0.25}\n")
    (plan,) = plans(one_task, "tasks: [../good.yaml]")
    (gate,) = plan.gates
    assert gate.rule.floor == 0.25
    assert gate.explicit
    assert (gate.path, gate.line) == (task, len(text.splitlines()) + 2)


def test_the_first_model_is_the_default_and_the_command_line_picks_another(
    one_task: Project,
) -> None:
    body = (
        MODELS
        + "tasks: [../good.yaml, {task: ../good.yaml, name: b, model: local-chat-completions}]"
    )

    def models(**given: Any) -> list[tuple[str, Any] | None]:
        found = [plan.model for plan in plans(one_task, body, **given)]
        return [None if model is None else (model.name, model.args["model"]) for model in found]

    one, two = ("openai_compatible", "one"), ("local-chat-completions", "two")
    assert models() == [one, two]
    assert models(model="hf_vision") == [one, two], "a suite wins over an ini file"
    assert models(command_line={"model": "local-chat-completions"}) == [two, two]
    assert models(command_line={"model": "hf_vision"}) == [None, None], "the run's own"
    changed = {"model_args": "model=three"}
    assert models(command_line=changed) == [(one[0], "three"), (two[0], "three")]
    picked = {"model": "local-chat-completions", **changed}
    assert models(command_line=picked) == [(two[0], "three")] * 2


def test_uses_of_one_model_share_it(one_task: Project) -> None:
    body = MODELS + "tasks: [../good.yaml, {task: ../good.yaml, name: b}]"
    first, second = plans(one_task, body)
    assert first.model is not None
    assert first.model == second.model
    assert "sk-of-the-suite" not in repr(first)


def test_baselines_lie_beside_the_suite_unless_a_folder_is_asked_for(one_task: Project) -> None:
    root = one_task.pytester.path

    def path(body: str = "", **given: Any) -> str:
        (plan,) = plans(one_task, f"{body}\ntasks: [../good.yaml]", **given)
        return plan.baseline.relative_to(root).as_posix()

    assert path() == "evals/baselines/smoke/good/default.json"
    assert path("baselines: accepted\nvariant: fp8") == "evals/accepted/smoke/good/fp8.json"
    assert path("variant: fp8", variant="bf16") == "evals/baselines/smoke/good/fp8.json"
    assert path("variant: fp8", command_line={"variant": "bf16"}).endswith("/good/bf16.json")
    elsewhere: dict[str, Any] = {"baseline_dir": root / "all"}
    assert path(**elsewhere) == "all/smoke/good/default.json"
    assert path("baselines: own", **elsewhere) == "evals/own/smoke/good/default.json"
    assert path("baselines: own", command_line=elsewhere) == "all/smoke/good/default.json"


def test_values_that_begin_with_a_dot_are_relative_to_the_suite(one_task: Project) -> None:
    body = """
models: {hf_vision: {pretrained: ../checkpoint}}
settings: {data_map: {org/data: ./data}}
tasks: [../good.yaml]
"""
    (plan,) = plans(one_task, body)
    root = one_task.pytester.path
    assert plan.model is not None
    assert plan.model.args == {"pretrained": str(root / "checkpoint")}
    assert plan.config.data_map == {"org/data": root / "evals" / "data"}


WRONG: dict[str, tuple[str, int, str]] = {
    "unknown key": ("taks: [a]", 2, "unknown key 'taks' in a suite. Did you mean 'tasks'?*"),
    "tasks missing": ("profile: pr", 1, "expected a list of tasks, found None"),
    "no tasks": ("tasks: []", 2, "expected a list of tasks, found []"),
    "tasks no list": ("tasks: good", 2, "expected a list of tasks, found 'good'"),
    "unknown task": ("tasks: [gsm9k]", 2, "there is no task, group or tag 'gsm9k'* 'gsm8k'?"),
    "unknown file": ("tasks:\n  - task: ../god.yaml", 3, "there is no file *god.yaml'*"),
    "no task": ("tasks:\n  - {name: x}", 3, "expected a task's name or 'task: …', found {*"),
    "task key": ("tasks:\n  - {task: ../good.yaml, limt: 3}", 3, "* 'limt' *mean 'limit'?*"),
    "setting": ("settings: {limt: 3}\ntasks: [a]", 2, "* setting 'limt'. Did you mean 'limit'?*"),
    "value": ("settings: {limit: x}\ntasks: [a]", 2, "'limit': 'x' is not valid: expected a num*"),
    "metric": (
        "tasks:\n  - task: ../good.yaml\n    gates:\n      exact_mach: {}",
        5,
        "gate 'exact_mach' of task 'good' is not one of exact_match,number.* 'exact_match'?*",
    ),
    "gate twice": (
        "tasks:\n- task: ../good.yaml\n  gates:\n    exact_match: {}\n    exact_match,number:",
        6,
        "gate 'exact_match,number': exact_match,number has a gate already",
    ),
    "margin": (
        "tasks:\n  - task: ../good.yaml\n    gates:\n      exact_match: {max_drop: 1%}",
        5,
        "max_drop: *1%*1pp*1%rel*",
    ),
    "gate no mapping": ("tasks:\n- {task: ../good.yaml, gates: {exact_match: 1}}", 3, "*found 1"),
    "gates no mapping": ("tasks:\n- {task: ../good.yaml, gates: [a]}", 3, "'gates': expected a*"),
    "default": ("defaults: {max_dorp: 1pp}\ntasks: [a]", 2, "unknown key 'max_dorp'* 'max_drop'?"),
    "profile": ("profile: nightli\ntasks: [a]", 2, "profile 'nightli' *mean 'nightly'?"),
    "model": (
        MODELS + "tasks: [{task: ../good.yaml, model: openai_compatibel}]",
        6,
        "model 'openai_compatibel' is not one of the suite's: * 'openai_compatible'?",
    ),
    "unknown model": (
        "models:\n  hf_visoin: {}\ntasks: [../good.yaml]",
        3,
        "model 'hf_visoin': unknown model 'hf_visoin'. Did you mean 'hf_vision'?*",
    ),
    "model argument": (
        "models:\n  hf_vision: {pretraned: x}\ntasks: [../good.yaml]",
        3,
        "model 'hf_vision': *'pretraned'. Did you mean 'pretrained'?*",
    ),
    "server": (
        "models:\n  openai_compatible: {server: {cmdd: x}}\ntasks: [../good.yaml]",
        3,
        "model 'openai_compatible': server: unknown key 'cmdd'. Did you mean 'cmd'?*",
    ),
    "server no mapping": (
        "models:\n  openai_compatible: {server: vllm}\ntasks: [../good.yaml]",
        3,
        "*'server': expected a mapping, found 'vllm'",
    ),
    "models no mapping": (
        "models: [a]\ntasks: [a]",
        2,
        "'models': expected a mapping, found ['a']",
    ),
    "twins": ("tasks:\n- ../good.yaml\n- task: ../good.yaml", 4, "task 'good' stands here twice*"),
    "name": ("tasks:\n- {task: ../good.yaml, name: 'a::b'}", 3, "'name': expected a name*'a::b'"),
    "variant": ("variant: 3\ntasks: [../good.yaml]", 2, "'variant': expected a name, found 3"),
    "tags": ("tasks: [{task: ../good.yaml, tags: 3}]", 2, "'tags': expected a list of words*"),
}


@pytest.mark.parametrize(("body", "line", "message"), WRONG.values(), ids=WRONG.keys())
def test_an_error_is_one_paragraph_with_its_place(
    one_task: Project, body: str, line: int, message: str
) -> None:
    with pytest.raises(TaskError) as error:
        plans(one_task, body)
    place, text = str(error.value).split(": ", 1)
    assert place == f"{one_task.pytester.path}/evals/smoke.lmm.yaml:{line}"
    pytest.LineMatcher([text]).fnmatch_lines([message.replace("[", "[[]")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 'key: value' lines, found nothing"),
        ("lmmeval: 2\ntasks: [a]", "expected 'lmmeval: 1', found 2"),
        ("tasks: [a]", "expected 'lmmeval: 1', found None"),
        ("lmmeval: [", "is not valid YAML: "),
        ("lmmeval: 1\ntasks: [a]\ntasks: [b]", "key 'tasks' stands here and, with another value"),
        ("- a", "expected 'key: value' lines, found a list"),
    ],
    ids=["empty", "newer format", "no format", "no YAML", "key twice", "list"],
)
def test_a_file_that_is_no_suite(project: Project, text: str, message: str) -> None:
    path = project.pytester.path / "wrong.lmm.yaml"
    path.write_text(text)
    with pytest.raises(LmmError, match=re.escape(message)) as error:
        read_suite(path, RunConfig(), "wrong.lmm.yaml")
    assert str(error.value).startswith(f"{path}:")


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["plain", "workers"])
def test_a_wrong_suite_does_not_hide_the_others(one_task: Project, args: tuple[str, ...]) -> None:
    write(one_task, "taks: [a]", "evals/wrong.lmm.yaml")
    write(one_task, "tasks: [../good.yaml]")
    result = one_task.run(*args)
    # With workers pytest runs what could be collected, as it does with broken modules.
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if args else pytest.ExitCode.INTERRUPTED)
    text = result.stdout.str()
    assert "evals/wrong.lmm.yaml:2: unknown key 'taks' in a suite. Did you mean 'tasks'?" in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    if not args:
        listed = one_task.run("--collect-only", "-q")
        assert "evals/smoke.lmm.yaml::good::exact_match,number" in listed.outlines


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["plain", "workers"])
def test_without_a_model_all_is_skipped_with_the_reason(
    one_task: Project, args: tuple[str, ...]
) -> None:
    (one_task.pytester.path / "conftest.py").unlink()
    write(one_task, "tasks: [{task: ../good.yaml, gates: {exact_match: {floor: 0.5}}}]")
    result = one_task.run("-rs", *args)
    result.assert_outcomes(skipped=5)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["SKIPPED*no model under test: give --lmm-model*"])


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["plain", "workers"])
def test_an_explicit_gate_without_baseline_is_an_error_and_updating_mends_it(
    one_task: Project, args: tuple[str, ...]
) -> None:
    write(one_task, "tasks: [{task: ../good.yaml, gates: {exact_match: {max_drop: 1pp}}}]")
    result = one_task.run(*args)
    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*no baseline in *"])
    assert one_task.run("--lmm-update-baseline", *args).ret == 0
    accepted = one_task.pytester.path / "evals/baselines/smoke/good/default.json"
    assert json.loads(accepted.read_text())["key"]["suite"] == "smoke"
    one_task.run(*args).assert_outcomes(passed=5)


def test_undecided_fails_in_a_release(one_task: Project) -> None:
    body = "tasks: [{task: ../good.yaml, gates: {exact_match: {max_drop: 1pp}}}]"
    write(one_task, body)
    one_task.run("--lmm-update-baseline")
    wrong = number_list([3, 5])
    warned = one_task.run(WRONG=wrong)
    warned.assert_outcomes(passed=5, warnings=1)
    # So few docs would not even be asked in a release.
    write(one_task, f"profile: release\ndefaults: {{underpowered: warn}}\n{body}")
    failed = one_task.run(WRONG=wrong)
    failed.assert_outcomes(passed=4, failed=1)
    failed.stdout.fnmatch_lines(["UNDECIDED good: *cannot rule out a drop of 3pp*"])


def test_a_suite_brings_its_model_and_two_suites_with_one_task_are_told_apart(
    one_task: Project,
) -> None:
    (one_task.pytester.path / "conftest.py").unlink()
    with ScriptedServer(lambda request: request.prompt) as server:
        body = f"""
models: {{openai_compatible: {{model: test-model, base_url: "{server.url}"}}}}
tasks: [{{task: ../good.yaml, limit: LIMIT}}]
"""
        write(one_task, body.replace("LIMIT", "10"), "evals/one.lmm.yaml")
        write(one_task, body.replace("LIMIT", "20"), "evals/two.lmm.yaml")
        result = one_task.run("--lmm-output-path=out")
    assert result.ret == 0
    found = results_of(one_task.pytester.path / "out")
    keys = ["evals/one.lmm.yaml::good", "evals/two.lmm.yaml::good"]
    assert {key: found["n-samples"][key]["effective"] for key in keys} == dict(
        zip(keys, (10, 20), strict=True)
    )
    lines = [
        len(path.read_text().splitlines())
        for path in sorted((one_task.pytester.path / "out").rglob("samples_*.jsonl"))
    ]
    assert lines == [10, 20]
