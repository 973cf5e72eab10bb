"""What a controller does for each of xdist's workers: as it begins, and once it is gone."""

from __future__ import annotations

from typing import Any

from pytest_lmmeval.session import deaths, progress_link
from pytest_lmmeval.session.state import has_options, note_run_id, read_options
from pytest_lmmeval.session.unfit_workers import end_if_unfit
from pytest_lmmeval.session.worker_places import places_of


def set_up(node: Any) -> None:
    """Tell a worker that is about to start what it needs to know, and make ways to hear of more.

    The id that xdist gives the run is noted, too: its processes find each other's servers by it.

    Args:
        node: xdist's node of the worker.
    """
    config, told = node.config, node.workerinput
    note_run_id(config, told["testrunuid"])
    told.update(places_of(config).take(node.gateway.id))
    told["lmm_writes_samples"] = has_options(config) and read_options(config).writes_samples
    deaths.connect(node)
    progress_link.connect(node)


def take_leave(node: Any, error: object) -> None:
    """Free the place of a worker that is gone, and tell the others if it died.

    Args:
        node: xdist's node of the worker.
        error: What xdist knows of the reason; None for a worker that is through.

    Raises:
        pytest.UsageError: It could not take part in the run; see ``unfit_workers``.
    """
    places_of(node.config).give_up(node.gateway.id)
    if error:
        deaths.tell_others(node)
        end_if_unfit(node, error)
