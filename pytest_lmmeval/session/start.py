"""When a session that asks for benchmarks by name imports what they need, and checks the names.

That takes a third of a second of CPU. A controller of xdist does it while its workers start, which
takes them longer; any other process does it before its session begins.
"""

from __future__ import annotations

import pytest

from pytest_lmmeval.session.state import is_active, read_options, run_of, selection_of

# Whether the session has benchmarks that are yet to be imported and checked.
_IS_PUT_OFF = pytest.StashKey[bool]()


def start(config: pytest.Config) -> None:
    """Become active, now or once workers are on their way.

    Raises:
        pytest.UsageError: A task, the model or an argument cannot be used.
    """
    if _will_have_workers(config):
        selection_of(config)  # pytest could not resolve the node ids that it takes out
        config.stash[_IS_PUT_OFF] = True
    else:
        run_of(config).check_selection()


def start_if_put_off(config: pytest.Config) -> None:
    """Become active where that was left for later.

    Raises:
        pytest.UsageError: A task, the model or an argument cannot be used.
    """
    if config.stash.get(_IS_PUT_OFF, False):
        config.stash[_IS_PUT_OFF] = False
        run_of(config).check_selection()


def report_header(config: pytest.Config) -> str | None:
    """Return the line that says what is measured, where that is known before collection."""
    if not is_active(config) and _IS_PUT_OFF not in config.stash:
        return None
    # Deferred: no other session needs it.
    from pytest_lmmeval.reports.header import header_line

    return header_line(read_options(config), selection_of(config).names)


def _will_have_workers(config: pytest.Config) -> bool:
    """Whether xdist, which comes after this plugin, will start workers: by its own rule."""
    return config.getoption("dist", "no") != "no" and not config.getoption("collectonly")
