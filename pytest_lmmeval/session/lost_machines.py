"""A worker whose machine is gone cannot be started again; the others measure what it left.

xdist takes it for granted that a worker can be replaced, and ends the whole run with an internal
error where it cannot.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import execnet
import pytest


def allow_for_lost_machines(config: pytest.Config) -> None:
    """Let a run go on whose lost worker cannot be replaced. For the controller.

    Args:
        config: The session's. Where xdist has changed so that this cannot be done, nothing is.
    """
    dsession: Any = config.pluginmanager.get_plugin("dsession")
    clone = getattr(dsession, "_clone_node", None)
    if clone is not None and hasattr(dsession, "_active_nodes"):
        dsession._clone_node = partial(_replace, dsession, clone)


def _replace(dsession: Any, clone: Any, node: Any) -> Any:
    """Start a worker in place of a dead one; return None if that cannot be."""
    try:
        return clone(node)
    except (OSError, EOFError, execnet.HostNotFound) as error:
        others = dsession._active_nodes - {node}
        is_left = any(not other.shutting_down for other in others)
        dsession.report_line(
            f"worker {node.gateway.id!r} cannot be started again ({error}): "
            + ("the others measure what it left" if is_left else "what it left is not measured")
        )
        if not is_left:
            dsession.triggershutdown()  # or xdist would wait for what nobody measures
        return None
