"""A worker that cannot take part, because a task is not where it runs, say. That ends the run.

xdist starts another one in its place, which fails in the same way; and where workers come from a
socket server, which serves one at a time, it waits for ever for the first one to leave.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmmeval.session.state import has_options, is_active

_MARK = "UsageError: "


def end_if_unfit(node: Any, error: object) -> None:
    """End the run if a worker of a run of benchmarks could not use what it was asked for.

    Args:
        node: xdist's node that went down.
        error: What xdist knows of the reason.

    Raises:
        pytest.UsageError: It could not; says which worker, and why.
    """
    if not (is_active(node.config) or has_options(node.config)):
        return
    node.gateway.exit()
    # The last line of a traceback, and what follows of the message.
    _, is_usage, message = str(error).rpartition(_MARK)
    if is_usage:
        spec = node.gateway.spec
        raise pytest.UsageError(f"worker {node.gateway.id} ({spec}): {message.strip()}")
