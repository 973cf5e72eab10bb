"""Every ``--lmm-*`` option, its ini key, and the one frozen ``RunConfig`` they become.

An option ``--lmm-num-fewshot`` can stand as ``lmm_num_fewshot`` in the pytest section of an ini or
TOML file; the command line wins. This module needs nothing but the standard library, because it is
imported in every pytest run.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pytest_lmmeval.errors import UsageError, nearest

PREFIX = "lmm_"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What the user asked for, after options, ini keys and defaults are merged.

    Attributes:
        model: Registered name of the model under test.
        model_args: Its arguments as ``key=value,…``.
        tasks: Names, groups, tags, globs or paths of tasks.
        include_path: Folders to look for task YAMLs in, beside the library.
        num_fewshot: Number of shots; None leaves the task's own.
        gen_kwargs: Generation arguments laid over each task's own.
        batch_size: Requests per call of an in-process model; None leaves the model's own.
        max_batch_size: Upper bound for an automatic batch size.
        device: Device of an in-process model.
        limit: Number of docs per task, or a share of them if below 1.
        limit_from: Whether ``limit`` takes a seeded random sample or the first docs.
        samples: Doc ids to evaluate, by task name.
        output_path: Where results files go; None writes none.
        log_samples: Whether samples are written beside the results.
        seed: Seeds for Python, NumPy, torch and few-shot sampling.
        system_instruction: System message put before every prompt.
        apply_chat_template: Whether plain prompts of a local model go through its chat template,
            or the template's name.
        fewshot_as_multiturn: Whether shots become turns of a chat.
        data_map: Local folders that stand for data sets, by hub name.
        message_format: lmms-eval's "simple" or "chat"; None leaves it to the model.
        baseline_dir: Where baselines of tasks lie that no suite names.
        variant: Key under which baselines of this set-up are kept.
        update_baseline: Glob of ``task::metric,filter`` whose baselines are written, or None.
        update_reason: Why, kept in the baseline.
        max_failed: Share of docs that may fail before parts and gates do; None leaves the
            defaults, which are none for a part and the rule's own for a gate.
        trust_remote_code: Whether code from a hub repository may run.
        confirm_run_unsafe_code: Whether tasks marked ``unsafe_code`` may run.
        strict: Whether a gate without baseline or floor is an error wherever it comes from.
    """

    model: str | None = None
    model_args: str = ""
    tasks: tuple[str, ...] = ()
    include_path: tuple[Path, ...] = ()
    num_fewshot: int | None = None
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | str | None = None
    max_batch_size: int | None = None
    device: str | None = None
    limit: float | None = None
    limit_from: Literal["random", "first"] = "random"
    samples: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    output_path: Path | None = None
    log_samples: bool = True
    seed: tuple[int | None, int | None, int | None, int | None] = (0, 1234, 1234, 1234)
    system_instruction: str | None = None
    apply_chat_template: bool | str = False
    fewshot_as_multiturn: bool = True
    data_map: Mapping[str, Path] = field(default_factory=dict)
    message_format: Literal["simple", "chat"] | None = None
    baseline_dir: Path = Path("lmm-baselines")
    variant: str = "default"
    update_baseline: str | None = None
    update_reason: str | None = None
    max_failed: float | None = None
    trust_remote_code: bool = False
    confirm_run_unsafe_code: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how it is written, and how its text becomes a value of :class:`RunConfig`.

    Attributes:
        dest: Field of :class:`RunConfig`.
        parse: Turns the text into the value; raises ValueError with what was expected.
        help: One phrase, as ``--help`` shows it.
        metavar: Stands for the value in ``--help``; None marks a flag.
        multiple: Whether the option may be given several times; texts are then joined by commas.
        bare: Value of an option that is given without one (``--lmm-update-baseline``).
        relative: Whether the value is a path that an ini file gives relative to itself.
    """

    dest: str
    parse: Callable[[str], Any]
    help: str
    metavar: str | None = "X"
    multiple: bool = False
    bare: str | None = None

    @property
    def flag(self) -> str:
        """The option as typed, ``--lmm-num-fewshot``."""
        return "--lmm-" + self.dest.replace("_", "-")

    @property
    def ini(self) -> str:
        """The ini key, ``lmm_num_fewshot``."""
        return PREFIX + self.dest


def split_list(text: str) -> tuple[str, ...]:
    """Split at commas, dropping blanks around and between."""
    return tuple(piece.strip() for piece in text.split(",") if piece.strip())


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(piece) for piece in split_list(text))


def _flag(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True}
    known |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if text.strip().lower() not in known:
        raise ValueError("true or false")
    return known[text.strip().lower()]


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ValueError("a whole number, 0 or more")
    return value


def _limit(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value == -1:
        return None
    if not 0 < value < float("inf") or (value >= 1 and value != int(value)):
        raise ValueError("a number of docs (100) or a share of them (0.1)")
    return value


def _share(text: str) -> float:
    percent = text.strip().endswith("%")
    try:
        value = float(text.strip().removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError("a share of the docs (0.5% or 0.005)")
    return value


def _batch_size(text: str) -> int | str:
    if text.split(":")[0] == "auto":
        return text
    value = _whole(text)
    if value == 0:
        raise ValueError("a whole number above 0, or auto")
    return value


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}.{nearest(text, choices)}")
        return text

    return parse


def _seeds(text: str) -> tuple[int | None, ...]:
    pieces = split_list(text)
    if len(pieces) == 1:
        pieces *= 4
    if len(pieces) != 4 or not all(p == "None" or p.lstrip("-").isdigit() for p in pieces):
        raise ValueError("one seed, or four: python,numpy,torch,fewshot (each a number or None)")
    return tuple(None if piece == "None" else int(piece) for piece in pieces)


def _chat_template(text: str) -> bool | str:
    try:
        return _flag(text)
    except ValueError:
        return text


def _gen_kwargs(text: str) -> Mapping[str, Any]:
    # Deferred: only a run that has generation arguments pays for the parser.
    from pytest_lmmeval.models.arguments import parse_arguments

    return parse_arguments(text)


def _data_map(text: str) -> Mapping[str, Path]:
    found: dict[str, Path] = {}
    for piece in split_list(text):
        name, equals, folder = piece.partition("=")
        if not (name and equals and folder):
            raise ValueError("NAME=FOLDER, for example lmms-lab-encoder/ai2d=data/ai2d")
        found[name] = Path(folder)
    return found


def _samples(text: str) -> Mapping[str, tuple[int, ...]]:
    """Parse ``TASK=1,5,9`` (repeatable with ``;``), lm-eval's JSON object, or a file of it."""
    if Path(text).suffix == ".json":
        text = Path(text).read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        chosen = json.loads(text)
    else:
        chosen = {}
        for piece in filter(None, text.split(";")):
            name, equals, ids = piece.partition("=")
            if not equals:
                raise ValueError("TASK=ID,ID,… or a JSON object of lists")
            chosen[name.strip()] = split_list(ids)
    try:
        return {name: tuple(sorted({_whole(str(i)) for i in ids})) for name, ids in chosen.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError("TASK=ID,ID,… or a JSON object of lists") from error


OPTIONS: tuple[Option, ...] = (
    Option("model", str, "Model under test: hf_vision, openai_compatible, srt_api, …", "NAME"),
    Option("model_args", str, "Its arguments, as in pretrained=gpt2,dtype=float32", "K=V,…", True),
    Option("tasks", split_list, "Tasks: names, groups, tags, globs or YAML paths", "TASKS", True),
    Option("include_path", _paths, "Folders with task YAMLs of your own", "DIR", True),
    Option("num_fewshot", _whole, "Number of shots in every prompt", "N"),
    Option(
        "gen_kwargs", _gen_kwargs, "Generation arguments laid over the tasks' own", "K=V,…", True
    ),
    Option("batch_size", _batch_size, "Requests per call of an in-process model", "N"),
    Option("max_batch_size", _whole, "Upper bound of an automatic batch size", "N"),
    Option("device", str, "Device of an in-process model, as in cuda:0 or cuda:{worker}", "NAME"),
    Option("limit", _limit, "Docs per task: a number, or a share below 1", "N"),
    Option(
        "limit_from", _choice("random", "first"), "What the limit takes: random or first", "WHICH"
    ),
    Option("samples", _samples, "Doc ids to evaluate, as in ai2d=3,14;gsm8k=7", "TASK=IDS"),
    Option("output_path", Path, "Folder for results_*.json and samples_*.jsonl", "DIR"),
    Option("log_samples", _flag, "Whether samples are written beside the results", "BOOL"),
    Option("seed", _seeds, "Seeds: one, or python,numpy,torch,fewshot", "N"),
    Option("system_instruction", str, "System message before every prompt", "TEXT"),
    Option(
        "apply_chat_template",
        _chat_template,
        "Send plain prompts through the model's chat template, or the named one",
        "NAME",
        bare="true",
    ),
    Option("fewshot_as_multiturn", _flag, "Whether shots become turns of a chat", "BOOL"),
    Option("data_map", _data_map, "Local folder for a data set of the hub", "NAME=DIR", True),
    Option(
        "message_format",
        _choice("simple", "chat"),
        "How docs with media become messages: simple or chat",
        "FORMAT",
    ),
    Option("baseline_dir", Path, "Folder of the baselines", "DIR"),
    Option("variant", str, "Key of this set-up's baselines, as in fp8-h200", "NAME"),
    Option(
        "update_baseline",
        str,
        "Write the baselines of this run's gates, or of those that match",
        "GLOB",
        bare="*",
    ),
    Option("update_reason", str, "Why the baselines change; kept in them", "TEXT"),
    Option("max_failed", _share, "Share of docs that may fail, as in 0.5%%", "SHARE"),
    Option("trust_remote_code", _flag, "Let code from hub repositories run", None),
    Option("confirm_run_unsafe_code", _flag, "Let tasks run that execute model output", None),
    Option("strict", _flag, "Make every gate without baseline or floor an error", None),
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
            attributes["action"] = "append" if option.multiple else "store"
        if option.bare is not None:
            attributes |= {"nargs": "?", "const": option.bare}
        group.addoption(option.flag, help=option.help, **attributes)
        addini(option.ini, f"{option.help} ({option.flag})".replace("%%", "%"), default=None)


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
    values: dict[str, Any] = {}
    for spec in OPTIONS:
        given, folder, where = option(PREFIX + spec.dest), invocation, spec.flag
        if given is None:
            given, folder, where = ini(spec.ini), base, f"ini key {spec.ini}"
        if given is None:
            continue
        values[spec.dest] = _anchor(_parse(spec, given, where), folder)
    values.setdefault("baseline_dir", base / "lmm-baselines")
    return RunConfig(**values)


def _parse(spec: Option, given: Any, where: str) -> Any:
    text = (
        ",".join(map(str, given))
        if isinstance(given, Sequence | tuple) and not isinstance(given, str)
        else str(given)
    )
    try:
        return spec.parse(text)
    except ValueError as error:
        raise UsageError(f"{where}: {text!r} is not valid: expected {error}") from None
    except OSError as error:
        raise UsageError(f"{where}: cannot read {text!r}: {error.strerror}") from None


def parse_setting(dest: str, given: Any) -> Any:
    """Turn a value from a suite file into that of a field of ``RunConfig``.

    Raises:
        UsageError: The value cannot be used.
    """
    (spec,) = (option for option in OPTIONS if option.dest == dest)
    if isinstance(given, Mapping):
        return _anchor(dict(given), Path()) if dest == "data_map" else dict(given)
    return _parse(spec, given, repr(dest))


def _anchor(value: Any, folder: Path) -> Any:
    """Make relative paths absolute, so that a worker started elsewhere finds the same files."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple) and value and isinstance(value[0], Path):
        return tuple(folder / path for path in value)
    if isinstance(value, Mapping):
        return {name: _anchor(inner, folder) for name, inner in value.items()}
    return value


def worth_recording(config: RunConfig) -> dict[str, str]:
    """Return the options that differ from their defaults, for headers and results files.

    ``model_args`` is left out: it may hold a key. ``shlex`` quoting makes each value one word.
    """
    default = RunConfig()
    return {
        spec.flag: shlex.quote(str(getattr(config, spec.dest)))
        for spec in OPTIONS
        if spec.dest != "model_args" and getattr(config, spec.dest) != getattr(default, spec.dest)
    }


def replace(config: RunConfig, **changes: Any) -> RunConfig:
    """Return a copy with fields changed; unknown names are a usage error with the nearest one."""
    known = {f.name for f in dataclasses.fields(RunConfig)}
    for name in changes:
        if name not in known:
            raise UsageError(f"unknown setting {name!r}.{nearest(name, known)}")
    return dataclasses.replace(config, **changes)
