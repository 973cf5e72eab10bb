"""Every option on the command line and in every kind of ini file; wrong values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from option_table import DOCUMENT, document
from projects import Project

from pytest_lmmeval.config.options import OPTIONS, PREFIX, with_settings
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.session.state import read_options

# Per option: its text, the value that TOML would hold by nature, and what both become.
VALUES: dict[str, tuple[str, Any, Any]] = {
    "model": ("srt_api", "srt_api", "srt_api"),
    "model_args": ("a=1,b=x", ["a=1", "b=x"], "a=1,b=x"),
    "judge_model": ("openai", "openai", "openai"),
    "judge_model_args": ("a=1,b=x", ["a=1", "b=x"], "a=1,b=x"),
    "tasks": ("ai2d,gsm8k", ["ai2d", "gsm8k"], ("ai2d", "gsm8k")),
    "include_path": ("one,two", ["one", "two"], ("{}/one", "{}/two")),
    "num_fewshot": ("5", 5, 5),
    "gen_kwargs": ("temperature=0.5,top_k=3", {"temperature": 0.5, "top_k": 3}, ...),
    "batch_size": ("8", 8, 8),
    "max_batch_size": ("64", 64, 64),
    "device": ("cuda:1", "cuda:1", "cuda:1"),
    "limit": ("0.25", 0.25, 0.25),
    "limit_from": ("first", "first", "first"),
    "samples": ("a=3,1;b=2", {"a": [3, 1], "b": [2]}, {"a": (1, 3), "b": (2,)}),
    "metadata": ("length=4096,of=[1,2]", {"length": 4096, "of": [1, 2]}, ...),
    "output_path": ("out", "out", "{}/out"),
    "log_samples": ("false", False, False),
    "seed": ("1,2,None,4", [1, 2, "None", 4], (1, 2, None, 4)),
    "system_instruction": ("Be brief, please", "Be brief, please", "Be brief, please"),
    "apply_chat_template": ("true", True, True),
    "fewshot_as_multiturn": ("no", False, False),
    "data_map": ("org/d=data/d", {"org/d": "data/d"}, {"org/d": "{}/data/d"}),
    "message_format": ("simple", "simple", "simple"),
    "parity": ("lm_eval", "lm_eval", "lm_eval"),
    "dialect": ("lm_eval", "lm_eval", "lm_eval"),
    "baseline_dir": ("accepted", "accepted", "{}/accepted"),
    "variant": ("fp8", "fp8", "fp8"),
    "profile": ("release", "release", "release"),
    "calibrate": ("3", 3, 3),
    "update_baseline": ("gsm8k::*", "gsm8k::*", "gsm8k::*"),
    "update_reason": ("vLLM 0.33", "vLLM 0.33", "vLLM 0.33"),
    "early_stop": ("sequential", "sequential", "sequential"),
    "max_failed": ("2%", 0.02, 0.02),
    "trust_remote_code": ("true", True, True),
    "confirm_run_unsafe_code": ("true", True, True),
    "strict": ("true", True, True),
    "no_fuse": ("true", True, True),
    "resume": ("true", True, True),
    "use_cache": ("answers.sqlite", "answers.sqlite", "{}/answers.sqlite"),
    "cache_requests": ("refresh", "refresh", "refresh"),
    "replay": ("answers.sqlite", "answers.sqlite", "{}/answers.sqlite"),
    "predict_only": ("true", True, True),
    "progress": ("log:30", "log:30", "log:30"),
    "show_config": ("true", True, True),
}
TEXTS = {name: text for name, (text, _, _) in VALUES.items()}


def toml(table: str, values: dict[str, Any]) -> str:
    def written(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f'"{k}" = {written(v)}' for k, v in value.items()) + "}"
        return json.dumps(value)

    lines = [f"{PREFIX}{name} = {written(value)}" for name, value in values.items()]
    return "\n".join([f"[{table}]", *lines])


def ini(values: dict[str, str]) -> str:
    return "\n".join(["[pytest]", *(f"{PREFIX}{name} = {text}" for name, text in values.items())])


def options(pytester: pytest.Pytester, *args: str) -> RunConfig:
    return read_options(pytester.parseconfig(*args))


def expected(folder: Path) -> dict[str, Any]:
    def anchored(value: Any) -> Any:
        if isinstance(value, str) and value.startswith("{}/"):
            return folder / value.removeprefix("{}/")
        if isinstance(value, tuple):
            return tuple(map(anchored, value))
        if isinstance(value, dict):
            return {name: anchored(inner) for name, inner in value.items()}
        return value

    return {
        name: anchored(natural if value is ... else value)
        for name, (_, natural, value) in VALUES.items()
    }


def found(config: RunConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in VALUES}


def test_the_table_of_this_test_is_complete() -> None:
    assert list(VALUES) == [option.dest for option in OPTIONS]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytest.ini", ini(TEXTS)),
        ("tox.ini", ini(TEXTS)),
        ("setup.cfg", ini(TEXTS).replace("[pytest]", "[tool:pytest]")),
        ("pyproject.toml", toml("tool.pytest.ini_options", TEXTS)),
        (
            "pyproject.toml",
            toml("tool.pytest", {n: natural for n, (_, natural, _) in VALUES.items()}),
        ),
        ("pyproject.toml", toml("tool.pytest", TEXTS)),
        ("pytest.toml", toml("pytest", {n: natural for n, (_, natural, _) in VALUES.items()})),
    ],
    ids=[
        "pytest.ini",
        "tox.ini",
        "setup.cfg",
        "ini_options",
        "native",
        "native texts",
        "pytest.toml",
    ],
)
def test_every_option_stands_in_a_file(pytester: pytest.Pytester, name: str, content: str) -> None:
    (pytester.path / name).write_text(content)
    config = options(pytester)
    assert found(config) == expected(pytester.path)
    assert config.by_command_line == frozenset()


def test_every_option_stands_on_the_command_line_and_wins(pytester: pytest.Pytester) -> None:
    other = {name: text for name, text in TEXTS.items() if name not in ("tasks",)}
    other |= {"num_fewshot": "1", "limit": "7", "variant": "bf16", "samples": "c=1"}
    (pytester.path / "pytest.ini").write_text(ini(other))
    flags = {option.dest for option in OPTIONS if option.metavar is None}
    args = [
        f"--lmm-{name.replace('_', '-')}" + ("" if name in flags else f"={text}")
        for name, text in TEXTS.items()
    ]
    config = options(pytester, *args)
    assert found(config) == expected(pytester.path)
    assert config.by_command_line == set(VALUES)


def test_lists_of_several_lines_and_of_several_options_are_joined(
    pytester: pytest.Pytester,
) -> None:
    (pytester.path / "pytest.ini").write_text(
        "[pytest]\nlmm_tasks =\n    ai2d\n    gsm8k,\n"
        "lmm_model_args =\n    model=m\n    timeout=3\n"
    )
    config = options(pytester, "--lmm-samples=a=1,2", "--lmm-samples=b=3")
    assert config.tasks == ("ai2d", "gsm8k")
    assert config.model_args == "model=m,timeout=3"
    assert config.samples == {"a": (1, 2), "b": (3,)}


def test_a_list_in_ini_options_does_not_warn(pytester: pytest.Pytester) -> None:
    (pytester.path / "pyproject.toml").write_text(
        toml("tool.pytest.ini_options", {"tasks": ["a", "b"], "include_path": ["."]})
    )
    assert options(pytester).tasks == ("a", "b")


def test_an_override_beats_the_file(pytester: pytest.Pytester) -> None:
    (pytester.path / "pyproject.toml").write_text(toml("tool.pytest", {"limit": 5}))
    assert options(pytester, "-o", "lmm_limit=6").limit == 6


def test_defaults(pytester: pytest.Pytester) -> None:
    default = RunConfig()
    assert found(options(pytester)) == found(default)


def test_paths_of_a_file_are_relative_to_it_and_typed_ones_to_the_folder_they_are_typed_in(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pytester.path / "pytest.ini").write_text(
        "[pytest]\nlmm_include_path = tasks\nlmm_tasks = ./own.yaml,ai2d\nlmm_samples = ids.json\n"
    )
    (pytester.path / "ids.json").write_text('{"ai2d": [4, 2]}')
    below = pytester.path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    config = read_options(pytester.parseconfig("--lmm-output-path=out", "--lmm-baseline-dir=../b"))
    assert config.include_path == (pytester.path / "tasks",)
    assert config.tasks == (pytester.path / "own.yaml", "ai2d")
    assert config.samples == {"ai2d": (2, 4)}
    assert config.output_path == below / "out"
    assert config.baseline_dir == below / ".." / "b"
    assert config.root == pytester.path


@pytest.mark.parametrize(
    ("option", "text", "expectation"),
    [
        ("num_fewshot", "-1", "a whole number, 0 or more"),
        ("num_fewshot", "five", "a whole number, 0 or more"),
        ("num_fewshot", "", "a whole number, 0 or more"),
        ("limit", "ten", "a number of docs (100), a share of them (0.1), or -1 for all"),
        ("limit", "0", "a number of docs"),
        ("limit", "1.5", "a number of docs"),
        ("limit", "nan", "a number of docs"),
        ("limit_from", "frist", "one of random, first. Did you mean 'first'?"),
        ("message_format", "chats", "one of simple, chat. Did you mean 'chat'?"),
        ("batch_size", "0", "a whole number above 0, or auto"),
        ("batch_size", "auto:x", "a whole number above 0, or auto"),
        ("max_failed", "5", "a share of the docs (0.5% or 0.005)"),
        ("log_samples", "maybe", "true or false"),
        ("seed", "1,2", "one seed, or four"),
        ("seed", "--1", "one seed, or four"),
        ("samples", "ai2d", "TASK=ID,ID,…"),
        ("samples", "ai2d=x", "TASK=ID,ID,…"),
        ("samples", "{nonsense", "TASK=ID,ID,…"),
        ("data_map", "folder", "NAME=FOLDER"),
        ("gen_kwargs", "temperature", "'temperature' is not of the form name=value"),
        ("gen_kwargs", "a=1,a=2", "the argument 'a' is given twice"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_expected(
    pytester: pytest.Pytester, option: str, text: str, expectation: str
) -> None:
    with pytest.raises(pytest.UsageError) as typed:
        options(pytester, f"--lmm-{option.replace('_', '-')}={text}")
    (pytester.path / "pytest.ini").write_text(f"[pytest]\nlmm_{option} = {text}\n")
    with pytest.raises(pytest.UsageError) as written:
        options(pytester)
    for error, where in ((typed, f"--lmm-{option.replace('_', '-')}"), (written, f"lmm_{option}")):
        message = str(error.value)
        assert f"{where}: " in message
        assert expectation in message
        assert text.partition("=")[0] in message
        assert "\n" not in message


def test_a_missing_samples_file_is_named(pytester: pytest.Pytester) -> None:
    with pytest.raises(pytest.UsageError, match=r"--lmm-samples: cannot read 'no\.json': No such"):
        options(pytester, "--lmm-samples=no.json")


def test_a_path_behind_an_option_with_optional_value_is_not_swallowed(
    pytester: pytest.Pytester,
) -> None:
    (pytester.path / "evals").mkdir()
    with pytest.raises(pytest.UsageError, match=r"--lmm-update-baseline: 'evals' is a path"):
        options(pytester, "--lmm-update-baseline", "evals")
    assert options(pytester, "evals", "--lmm-update-baseline").update_baseline == "*"


def test_a_setting_of_a_caller_is_checked_like_an_option() -> None:
    config = with_settings(
        RunConfig(), limit="10", gen_kwargs="temperature=0", data_map={"a": Path("b")}
    )
    assert (config.limit, config.gen_kwargs) == (10, {"temperature": 0})
    assert config.data_map == {"a": Path("b")}


MODEL = "--lmm-model=openai_compatible"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "workers"])
@pytest.mark.parametrize(
    ("args", "expectation"),
    [
        (("--lmm-limit=ten",), "--lmm-limit: 'ten' is not valid: expected a number"),
        (("--lmm-model=openai_compatable",), "--lmm-model: * Did you mean 'openai_compatible'?"),
        (("--lmm-tasks=gsm8k", MODEL, "--lmm-model-args=modell=m"), "*Did you mean 'model'?"),
        (("--lmm-tasks=gsm8k", "--lmm-model=hf_vision"), "*--lmm-model-args: * 'pretrained'"),
        (("--lmm-model=hf_vision", "--lmm-model-args=x"), "--lmm-model-args: 'x' is not of the*"),
    ],
    ids=["value", "model", "argument", "missing argument", "no argument"],
)
def test_a_usage_error_ends_pytest_with_one_line(
    pytester: pytest.Pytester, args: tuple[str, ...], expectation: str, workers: tuple[str, ...]
) -> None:
    pytester.makepyfile("def test_other(): pass")
    # Where this is not set, pytest-asyncio warns on stderr in each worker that has started.
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_subprocess(*args, *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *{expectation}*"])
    assert len([line for line in result.errlines if line]) == 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_tasks_are_listed(project: Project) -> None:
    project.add_task("numbers", tag="arithmetic")
    listed = project.run("--lmm-tasks=list", "--lmm-include-path=.", "-n2")
    assert listed.ret == 0
    listed.stdout.fnmatch_lines(
        [
            "ai2d *generate_until, 0-shot*exact_match,flexible-extract*",
            "numbers *generate_until, 0-shot*exact_match,number*",
            "tags: *arithmetic*",
        ]
    )
    wrong = project.run("--lmm-tasks=list", "--lmm-include-path=nowhere")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    wrong.stderr.fnmatch_lines(["ERROR: include path *nowhere is not a folder"])


def test_help_has_every_option_and_key(pytester: pytest.Pytester) -> None:
    text = pytester.runpytest_subprocess("--help").stdout.str()
    for option in OPTIONS:
        assert option.flag in text
        assert option.ini in text


def test_the_document_is_in_step() -> None:
    message = "run python tests/option_table.py"
    assert DOCUMENT.read_text(encoding="utf-8") == document(), message
