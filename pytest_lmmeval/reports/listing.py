"""``--lmm-tasks=list``: what can be asked for by name, and what each lacks to run here."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec
from pytest_lmmeval.tasks.files.cards import card_of
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.judge_use import needs_judge
from pytest_lmmeval.tasks.obstacles import Conditions, obstacles
from pytest_lmmeval.warnings import LmmWarning


def list_tasks(config: RunConfig, write: Callable[[str], None], *, verbose: bool = False) -> None:
    """Write one line per task, then one per group, then the tags.

    A task or group whose file cannot be read is listed with the reason.

    Args:
        config: The run's settings: its folders, its model, its data.
        write: Takes each line as soon as it is known.
        verbose: Whether to execute the tasks' modules for what their functions need, and to show
            files, data sets and cards.

    Raises:
        UsageError: A folder or the model is not there.
    """
    manager = TaskManager(config.include_path)
    conditions = _conditions(config, verbose)
    names = manager.all_tasks()
    width = max(map(len, names), default=0)
    for name in names:
        try:
            # What a file could say better is told when its task is run.
            with warnings.catch_warnings(action="ignore", category=LmmWarning):
                (spec,) = manager.select([name])
        except LmmError as error:
            write(f"{name:<{width}}  cannot be read: {error}")
            continue
        write(f"{name:<{width}}  {_about(spec)}")
        for line in _details(spec) if verbose else ():
            write(f"    {line}")
        lacks = list(obstacles(spec.config, conditions))
        if lacks:
            write(f"    needs: {'; '.join(lacks)}")
    _list_groups(manager, write)
    if tags := manager.all_tags():
        counted = (f"{tag} ({len(manager.members(tag))})" for tag in tags)
        write(f"tags: {', '.join(counted)}")
    for name, paths in manager.shadowed.items():
        for path in paths:
            write(f"does not count: {path}: another file before it defines {name!r}")
    for reason in manager.unreadable:
        write(f"cannot be read: {reason}")


def _conditions(config: RunConfig, verbose: bool) -> Conditions:
    types = None
    if config.model is not None:
        # Deferred: a listing without a model needs to know none.
        from pytest_lmmeval.models.registry import find_model

        types = find_model(config.model)[0].request_types
    return Conditions(
        types,
        config.data_map,
        config.confirm_run_unsafe_code,
        has_judge=config.judge_model is not None,
        executes=verbose,
    )


def _about(spec: TaskSpec) -> str:
    config = spec.config
    metrics = ", ".join(f"{metric},{filter_name}" for metric, filter_name in config.metric_keys)
    judge = ", judge" if needs_judge(config) else ""
    return f"{config.output_type}, {config.num_fewshot or 0}-shot{judge}  {metrics}"


def _details(spec: TaskSpec) -> list[str]:
    config = spec.config
    subset = f" ({config.dataset_name})" if config.dataset_name else ""
    data = f"{config.dataset_path}{subset}" if config.dataset_path else "a function of its own"
    tags = f"; tags: {', '.join(spec.tags)}" if spec.tags else ""
    return [f"{spec.path}", f"data: {data}; rules: {config.dialect}{tags}", *_card_lines(config)]


def _card_lines(config: TaskConfig) -> list[str]:
    card = card_of(config)
    if card is None:
        return []
    head = ": ".join(filter(None, (card.title, card.measures)))
    facts = {"docs": card.size, "scale": card.scale, "licence": card.licence}
    about = "; ".join(f"{name}: {value}" for name, value in facts.items() if value)
    links = {"paper": card.paper, "data card": card.data, "note": card.notes}
    lines = [head, about, *(f"{name}: {value}" for name, value in links.items() if value)]
    return [" ".join(line.split()) for line in lines if line]


def _list_groups(manager: TaskManager, write: Callable[[str], None]) -> None:
    names = manager.all_groups()
    width = max(map(len, names), default=0)
    if names:
        write("groups:")
    for name in names:
        try:
            with warnings.catch_warnings(action="ignore", category=LmmWarning):
                count = len(manager.members(name))
        except LmmError as error:
            write(f"  {name:<{width}}  cannot be read: {error}")
            continue
        write(f"  {name:<{width}}  {count} task{'s' if count != 1 else ''}")
