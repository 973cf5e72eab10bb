"""Where a pytest session keeps this plugin's state, and when it gets one.

A session that has no benchmark in it gets none, imports nothing heavy and runs two cheap hooks.
"""

from __future__ import annotations

import functools
import gc
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from pytest_lmmeval.config.options import is_any_given, run_config
from pytest_lmmeval.errors import UsageError

if TYPE_CHECKING:
    from pytest_lmmeval.config.run_config import RunConfig
    from pytest_lmmeval.session.run import BenchmarkRun
    from pytest_lmmeval.session.selection import Selection

RUN = pytest.StashKey["BenchmarkRun"]()
SELECTION = pytest.StashKey["Selection"]()
# What xdist tells its workers about the run, noted on the controller when it does.
RUN_ID = pytest.StashKey[str]()


def is_active(config: pytest.Config) -> bool:
    """Whether this session has met a benchmark."""
    return RUN in config.stash


def run_of(config: pytest.Config) -> BenchmarkRun:
    """Return the session's state; the first call makes it and registers the hooks that need it.

    Raises:
        pytest.UsageError: An option or ini key cannot be used.
    """
    if not is_active(config):
        # Deferred: these import what a benchmark needs, which no other session should pay for.
        from pytest_lmmeval.pipeline.garbage import no_look
        from pytest_lmmeval.session.own_modules import import_own_modules_plainly

        import_own_modules_plainly(config)
        with no_look():  # some 30,000 objects are made
            from pytest_lmmeval.session.deaths import listen
            from pytest_lmmeval.session.hooks import BenchmarkHooks
            from pytest_lmmeval.session.model_pool import Worker
            from pytest_lmmeval.session.run import BenchmarkRun

        _stop_looking_at_modules()
        register_hooked_models(config)
        settings, selection = read_options(config), selection_of(config)
        given = getattr(config, "workerinput", None)
        run_id = given["testrunuid"] if given else config.stash.setdefault(RUN_ID, uuid4().hex)
        run = BenchmarkRun(settings, selection, Worker.of(given), run_id)
        listen(config, run.open.journals.siblings)
        config.stash[RUN] = run
        config.pluginmanager.register(BenchmarkHooks(run), "lmmeval-hooks")
    return config.stash[RUN]


def selection_of(config: pytest.Config) -> Selection:
    """Return what is asked for by name; the first call takes it out of pytest's arguments.

    Raises:
        pytest.UsageError: An option or ini key cannot be used.
    """
    if SELECTION not in config.stash:
        # Deferred: a session without benchmarks has no selection.
        from pytest_lmmeval.session.selection import take_selection

        settings = read_options(config)
        by_option = "tasks" in settings.by_command_line
        tasks = tuple(map(str, settings.tasks))
        config.stash[SELECTION] = take_selection(config, tasks, by_option=by_option)
    return config.stash[SELECTION]


def _stop_looking_at_modules() -> None:
    """Let no look for garbage go through all that was imported; pytest's last ones alone are many.

    That takes a tenth of a second off each run. What a test holds may be large and is to be freed,
    so nothing is changed when the first benchmark is a fixture's.
    """
    if "PYTEST_CURRENT_TEST" not in os.environ:
        gc.freeze()


def register_hooked_models(config: pytest.Config) -> None:
    """Make the models known that plugins return from ``pytest_lmm_models``.

    Raises:
        pytest.UsageError: A name is taken, or belongs to something that is no model.
    """
    found = config.hook.pytest_lmm_models(config=config)
    if not found:
        return
    # Deferred: only a session with such a plugin needs the registry here.
    from pytest_lmmeval.models.registry import register_model

    try:
        for models in found:
            for name, model in models.items():
                register_model(name)(model)
    except UsageError as error:
        raise pytest.UsageError(f"pytest_lmm_models: {error}") from None


def note_run_id(config: pytest.Config, run_id: str) -> None:
    """Take over the id that xdist gives a run. Called on the controller, before it has workers."""
    config.stash[RUN_ID] = run_id
    if is_active(config):
        run = run_of(config)
        run.open.models.run_id = run.open.journals.run = run_id


def has_options(config: pytest.Config) -> bool:
    """Whether the user asked for anything, on the command line or in an ini file."""
    return is_any_given(config.getoption, functools.partial(_ini_value, config))


def read_options(config: pytest.Config) -> RunConfig:
    """Return what the user asked for.

    Raises:
        pytest.UsageError: An option or ini key cannot be used.
    """
    try:
        return run_config(
            config.getoption,
            functools.partial(_ini_value, config),
            base=config.inipath.parent if config.inipath else config.rootpath,
            invocation=config.invocation_params.dir,
        )
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _ini_value(config: pytest.Config, key: str) -> Any:
    """Return an ini value, None where there is none.

    ``getini`` knows one type for a key, and in a native TOML table takes nothing else. Here
    ``lmm_limit = 100``, ``lmm_limit = "100"``, lists and tables are all as good.
    """
    try:
        return config.getini(key)
    except (TypeError, ValueError, pytest.UsageError):
        path = config.inipath
        if path is None or path.suffix != ".toml":
            raise
    # Deferred: only such a table needs it.
    import tomllib

    content = tomllib.loads(path.read_text(encoding="utf-8"))
    section = content["tool"] if path.name == "pyproject.toml" else content
    return section["pytest"][key]
