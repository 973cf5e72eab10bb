"""``--lmm-tasks=list``: what can be asked for by name."""

from __future__ import annotations

from collections.abc import Callable

from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.tasks.manager import TaskManager


def list_tasks(manager: TaskManager, write: Callable[[str], None]) -> None:
    """Write one line per task, then the groups and tags.

    A task whose file cannot be read is listed with the reason.
    """
    names = manager.all_tasks()
    width = max(map(len, names), default=0)
    for name in names:
        try:
            (spec,) = manager.select([name])
        except LmmError as error:
            write(f"{name:<{width}}  cannot be read: {error}")
            continue
        config = spec.config
        metrics = ", ".join(f"{metric},{filter_name}" for metric, filter_name in config.metric_keys)
        write(f"{name:<{width}}  {config.output_type}, {config.num_fewshot or 0}-shot  {metrics}")
    for title, found in (("groups", manager.all_groups()), ("tags", manager.all_tags())):
        if found:
            write(f"{title}: {', '.join(found)}")
