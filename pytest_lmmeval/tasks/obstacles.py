"""What is in the way of running a task, as far as it can be told without doing anything.

No data set is opened and no module of a task executed, so that thousands of tasks can be listed.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_lmmeval.errors import DataError, LmmError
from pytest_lmmeval.tasks.data.media_files import NO_DECODER, asks_for_videos
from pytest_lmmeval.tasks.data.sources import find_data
from pytest_lmmeval.tasks.data.task_data import data_source
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.compat import PEERS, import_statements, is_there
from pytest_lmmeval.tasks.functions.compat.environment import judge_keys
from pytest_lmmeval.tasks.functions.judge_use import aggregation_that_asks, needs_judge
from pytest_lmmeval.tasks.functions.packages import how_to_install, is_installed
from pytest_lmmeval.tasks.functions.requirements import check_requirements
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef, Functions, references
from pytest_lmmeval.tasks.output_types import SUPPORTED, UNSUPPORTED, request_type

_KEY = re.compile(r"\b[A-Z][A-Z0-9_]*_API_KEY\b")


@dataclass(frozen=True)
class Conditions:
    """What a run would bring.

    Attributes:
        request_types: What its model can be asked; None if no model is chosen.
        data_map: Local folders that stand for hub names.
        confirm_run_unsafe_code: Whether tasks may run code that the model writes.
        has_judge: Whether it has a model that scores answers.
        executes: Whether modules of tasks may be executed, which finds what functions need that
            import something only when they are called.
    """

    request_types: Collection[str] | None = None
    data_map: Mapping[str, Path] = field(default_factory=dict)
    confirm_run_unsafe_code: bool = False
    has_judge: bool = False
    executes: bool = False


def obstacles(config: TaskConfig, conditions: Conditions) -> Iterator[str]:
    """Yield what a task lacks, each in a few words."""
    if config.output_type not in SUPPORTED:
        yield f"{config.output_type}: {UNSUPPORTED.get(config.output_type, 'not supported')}"
        return
    asked = request_type(config.output_type)
    if conditions.request_types is not None and asked not in conditions.request_types:
        yield f"a model that answers {asked}"
    if needs_judge(config) and not conditions.has_judge:
        yield "a judge: --lmm-judge-model and --lmm-judge-model-args"
    if (asking := aggregation_that_asks(config)) is not None:
        yield f"a judge in its aggregation ({asking.spec}), where --lmm-judge-model cannot answer"
    if config.unsafe_code and not conditions.confirm_run_unsafe_code:
        yield "--lmm-confirm-run-unsafe-code"
    yield from _absent_modules(config)
    yield from _packages(config, executes=conditions.executes)
    for file in _modules(config):
        keys = [name for name in _keys_in(file) if name not in judge_keys(file)]
        missing = [name for name in keys if name not in os.environ]
        if missing:
            yield f"{' or '.join(missing)} in the environment ({Path(file).name} reads it)"
    if asks_for_videos(config) and not is_installed("av"):
        yield NO_DECODER
    try:
        find_data(data_source(config), conditions.data_map)
    except DataError as error:
        yield str(error)


def _absent_modules(config: TaskConfig) -> Iterator[str]:
    """Yield the modules of tags that are neither beside their YAML nor in a peer's package."""
    absent: dict[Path, FunctionRef] = {}
    for ref in references(vars(config)):
        if ref.module.partition(".")[0] not in PEERS and not ref.file.is_file():
            absent.setdefault(ref.file, ref)
    for file, ref in absent.items():
        yield f"the file {file} ({ref!r} in {ref.path}:{ref.line})"


def _packages(config: TaskConfig, *, executes: bool) -> Iterator[str]:
    if executes:
        try:
            check_requirements(config, Functions(config.dialect))
        except LmmError as error:
            yield str(error)
        return
    modules = [name for file in _modules(config) for name in _absent_imports(file)]
    if modules:
        yield how_to_install(dict.fromkeys(modules))


def _modules(config: TaskConfig) -> list[str]:
    files = dict.fromkeys(ref.file for ref in references(vars(config)))
    return [str(file) for file in files if file.is_file()]


@functools.lru_cache(maxsize=4096)
def _absent_imports(file: str) -> tuple[str, ...]:
    beside = Path(file).parent

    def is_absent(name: str) -> bool:
        own = beside / name.partition(".")[0]
        return not (own.is_dir() or own.with_suffix(".py").is_file() or is_there(name))

    return tuple(name for name in import_statements(file).top if is_absent(name))


@functools.lru_cache(maxsize=4096)
def _keys_in(file: str) -> tuple[str, ...]:
    text = Path(file).read_text(encoding="utf-8", errors="replace")
    return tuple(dict.fromkeys(_KEY.findall(text)))
