"""Every ``--lmm-*`` option and its ini key, and how they become a ``RunConfig``.

An option ``--lmm-num-fewshot`` can stand as ``lmm_num_fewshot`` in the pytest section of an ini or
TOML file. The command line wins over a suite, and a suite over the ini file. This module needs
nothing but the standard library, because it is imported in every pytest run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_lmmeval.config import option_texts as texts
from pytest_lmmeval.config.option import Option
from pytest_lmmeval.errors import UsageError, nearest

if TYPE_CHECKING:
    from pytest_lmmeval.config.run_config import RunConfig

PREFIX = "lmm_"  # of a field's name, where pytest keeps what the command line gave


OPTIONS: tuple[Option, ...] = (
    Option("model", str, "Model under test: hf_vision, openai_compatible, srt_api, …", "NAME"),
    Option("model_args", str, "Its arguments, as in pretrained=gpt2,dtype=float32", "K=V,…", ","),
    Option("judge_model", str, "Model that scores answers of tasks with a judge", "NAME"),
    Option("judge_model_args", str, "Its arguments, as for --lmm-model-args", "K=V,…", ","),
    Option(
        "tasks", texts.task_names, "Tasks: names, groups, tags, globs or YAML paths", "TASKS", ","
    ),
    Option("include_path", texts.paths, "Folders with task YAMLs of your own", "DIR", ","),
    Option("num_fewshot", texts.whole, "Number of shots in every prompt", "N"),
    Option(
        "gen_kwargs",
        texts.arguments,
        "Generation arguments laid over the tasks' own",
        "K=V,…",
        ",",
    ),
    Option("batch_size", texts.batch_size, "Requests per call of an in-process model", "N"),
    Option("max_batch_size", texts.whole, "Upper bound of an automatic batch size", "N"),
    Option("device", str, "Device of an in-process model, as in cuda:0 or cuda:{worker}", "NAME"),
    Option("limit", texts.limit, "Docs per task: a number, or a share below 1", "N"),
    Option(
        "limit_from",
        texts.choice("random", "first"),
        "What the limit takes: random (a seeded sample) or first, the default under parity",
        "WHICH",
    ),
    Option(
        "samples",
        texts.samples,
        "Doc ids to evaluate, as in ai2d=3,14;gsm8k=7, or a .json file",
        "TASK=IDS",
        ";",
        file=True,
    ),
    Option(
        "metadata",
        texts.arguments,
        "Laid over the tasks' metadata, as in max_seq_lengths=[4096,8192]",
        "K=V,…",
        ",",
    ),
    Option("output_path", Path, "Folder for results_*.json and samples_*.jsonl", "DIR"),
    Option("log_samples", texts.flag, "Whether samples are written beside the results", "BOOL"),
    Option("seed", texts.seeds, "Seed of few-shot sampling, or python,numpy,torch,fewshot", "N"),
    Option("system_instruction", str, "System message before every prompt", "TEXT"),
    Option(
        "apply_chat_template",
        texts.chat_template,
        "Send plain prompts through the model's chat template, or the named one",
        "NAME",
        bare="true",
    ),
    Option("fewshot_as_multiturn", texts.flag, "Whether shots become turns of a chat", "BOOL"),
    Option("data_map", texts.data_map, "Local folder for a data set of the hub", "NAME=DIR", ","),
    Option(
        "message_format",
        texts.choice("simple", "chat"),
        "How docs with media become messages: simple or chat",
        "FORMAT",
    ),
    Option(
        "parity",
        texts.choice("lm_eval", "lmms_eval"),
        "Give the number that this tool prints, without what is done better here on purpose",
        "TOOL",
    ),
    Option(
        "dialect",
        texts.choice("lm_eval", "lmms_eval"),
        "Whose rules all tasks follow, in place of each task's own",
        "TOOL",
    ),
    Option("baseline_dir", Path, "Folder of the baselines", "DIR"),
    Option("variant", str, "Key of this set-up's baselines, as in fp8-h200", "NAME"),
    Option(
        "profile",
        texts.choice("pr", "nightly", "release"),
        "What gates do by default: pr, nightly or release",
        "NAME",
    ),
    Option("calibrate", texts.runs, "Run everything K times and keep the noise in baselines", "K"),
    Option(
        "update_baseline",
        str,
        "Write the baselines of this run's gates, or of those that match",
        "GLOB",
        bare="*",
    ),
    Option("update_reason", str, "Why the baselines change; kept in them", "TEXT"),
    Option(
        "early_stop",
        texts.choice("fuse", "sequential"),
        "What may end gates early: fuse (a certain FAIL), or sequential (a PASS, too)",
        "HOW",
    ),
    Option("max_failed", texts.share, "Share of docs that may fail, as in 0.5%%", "SHARE"),
    Option("trust_remote_code", texts.flag, "Let code from hub repositories run", None),
    Option("confirm_run_unsafe_code", texts.flag, "Let tasks run that execute model output", None),
    Option(
        "strict",
        texts.flag,
        "Make gates without baseline, and tasks that the model cannot do, errors",
        None,
    ),
    Option(
        "no_fuse",
        texts.flag,
        "Measure every task to its end, also one that has certainly failed",
        None,
    ),
    Option(
        "resume",
        texts.flag,
        "Go on from runs that did not come to their end: ask what they did not answer",
        None,
    ),
    Option(
        "use_cache",
        texts.flag_or_path,
        "Keep answers for good, in .lmmeval/cache.sqlite or in a file, and ask nothing twice",
        "PATH",
        bare="true",
    ),
    Option(
        "cache_requests",
        texts.flag_or_choice("refresh", "delete"),
        "For lm-eval's command lines; has no effect, because building requests costs no time",
        "HOW",
        bare="true",
    ),
    Option(
        "replay",
        texts.flag_or_path,
        "Score the answers of a cache or journal again, without a model",
        "PATH",
        bare="true",
    ),
    Option("predict_only", texts.flag, "Write answers; score and judge nothing", None),
    Option(
        "progress",
        texts.progress,
        "How to show progress: live on a terminal, as lines of a log (log:SECONDS apart), off; "
        "auto decides",
        "HOW",
    ),
    Option("show_config", texts.flag, "Show the whole configuration of run and tasks", None),
)


class Parser(Protocol):
    """The part of ``pytest.OptionGroup`` and ``pytest.Parser`` that options need."""

    def addoption(self, *flags: str, **attributes: Any) -> None:
        """Register an option."""


def add_options(group: Parser, addini: Callable[..., None]) -> None:
    """Register every option and ini key with pytest."""
    for option in OPTIONS:
        attributes: dict[str, Any] = {"dest": PREFIX + option.dest, "default": None}
        if option.metavar is None:
            attributes |= {"action": "store_const", "const": "true"}
        else:
            attributes["metavar"] = option.metavar
            attributes["action"] = "store" if option.joint is None else "append"
        if option.bare is not None:
            attributes |= {"nargs": "?", "const": option.bare}
        group.addoption(option.flag, help=option.help, **attributes)
        addini(
            option.ini,
            f"{option.help} ({option.flag})".replace("%%", "%"),
            type="string" if option.joint is None else "linelist",
            default=None,
        )


def is_any_given(option: Callable[[str], Any], ini: Callable[[str], Any]) -> bool:
    """Whether there is anything to merge; arguments as for ``run_config``."""
    values = ((option(PREFIX + spec.dest), ini(spec.ini)) for spec in OPTIONS)
    return any(given is not None for both in values for given in both)


def run_config(
    option: Callable[[str], Any], ini: Callable[[str], Any], base: Path, invocation: Path
) -> RunConfig:
    """Merge command line and ini into a :class:`RunConfig`.

    Args:
        option: Returns a command line value by dest, None where it was not given.
        ini: Returns an ini value by key, None where it was not given.
        base: Folder that paths in ini are relative to.
        invocation: Folder that paths on the command line are relative to.

    Raises:
        UsageError: A value cannot be used; names the option, the value and what was expected.
    """
    # Deferred: a session without any option has no use for it.
    from pytest_lmmeval.config.run_config import RunConfig

    values: dict[str, Any] = {}
    by_command_line = set()
    for spec in OPTIONS:
        given, folder, where = option(PREFIX + spec.dest), invocation, spec.flag
        if given is not None:
            by_command_line.add(spec.dest)
            _refuse_swallowed_path(spec, given, folder)
        else:
            given, folder, where = ini(spec.ini), base, f"ini key {spec.ini}"
        if given is not None:
            values[spec.dest] = spec.read(given, where, folder)
    return RunConfig(**values, root=base, by_command_line=frozenset(by_command_line))


def _refuse_swallowed_path(spec: Option, given: str, folder: Path) -> None:
    """Tell ``--lmm-update-baseline evals``, where argparse takes the path for the value."""
    there = folder / given if spec.bare is not None and given != spec.bare else None
    # A file is what some options take.
    takes_file = spec.parse is texts.flag_or_path
    if there is not None and (there.is_dir() if takes_file else there.exists()):
        raise UsageError(
            f"{spec.flag}: {given!r} is a path; expected it before the option, "
            f"or {spec.flag}={spec.bare} {given}"
        )


def parse_setting(dest: str, given: Any, folder: Path = Path()) -> Any:
    """Turn a value from a suite or a caller into that of a field of ``RunConfig``.

    Args:
        dest: The field.
        given: The value, or the text that the option would take; None stands for itself.
        folder: Folder that paths are relative to.

    Raises:
        UsageError: There is no such field, or the value cannot be used.
    """
    spec = next((option for option in OPTIONS if option.dest == dest), None)
    if spec is None:
        raise UsageError(f"unknown setting {dest!r}.{nearest(dest, (o.dest for o in OPTIONS))}")
    return None if given is None else spec.read(given, repr(dest), folder)


def with_settings(config: RunConfig, **settings: Any) -> RunConfig:
    """Return a copy with settings changed, given as values or as the texts of options.

    Raises:
        UsageError: There is no such setting, or a value cannot be used.
    """
    changes = {name: parse_setting(name, given) for name, given in settings.items()}
    return dataclasses.replace(config, **changes)
