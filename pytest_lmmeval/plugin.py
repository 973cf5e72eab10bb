"""The pytest plugin: options, the hooks that every session runs, and fixtures.

Everything else is imported when a session meets its first benchmark; see ``state.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_lmmeval import hookspecs
from pytest_lmmeval.config.file_names import VIRTUAL_FOLDER, is_ours
from pytest_lmmeval.config.options import PREFIX, add_options
from pytest_lmmeval.session.start import report_header, start, start_if_put_off
from pytest_lmmeval.session.state import (
    has_options,
    read_options,
    register_hooked_models,
    run_of,
)
from pytest_lmmeval.session.worker_places import tell_models

if TYPE_CHECKING:
    from pytest_lmmeval.config.run_config import RunConfig
    from pytest_lmmeval.evaluations import TaskEvaluation
    from pytest_lmmeval.models.base import LM
    from pytest_lmmeval.session.model_pool import ModelPool


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--lmm-*`` and their ini keys."""
    add_options(parser.getgroup("lmmeval", "benchmarks as tests"), parser.addini)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add this plugin's own hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register markers; become active if a benchmark is asked for by name."""
    config.addinivalue_line("markers", "lmmeval: every item of a benchmark")
    config.addinivalue_line("markers", "judge: benchmarks whose answers another model scores")
    config.addinivalue_line(
        "markers",
        "lmm_task(task, **settings): evaluate a task for the fixture lmm_result, "
        "as in @pytest.mark.lmm_task('ai2d', limit=100)",
    )
    tell_models(config)
    typed = any(arg.startswith(f"{VIRTUAL_FOLDER}/") for arg in config.args)
    if typed or has_options(config):
        _take_options(config, typed=typed)


def _take_options(config: pytest.Config, *, typed: bool) -> None:
    """Say what is wrong with them at once; become active if they, or typed node ids, name tasks."""
    settings = read_options(config)
    if not hasattr(config, "workerinput") and (settings.output_path or settings.predict_only):
        _check_output(settings)
    if settings.tasks or typed:
        start(config)
    elif "model" in settings.by_command_line:
        register_hooked_models(config)
        _check_model(settings)


def _check_output(settings: RunConfig) -> None:
    # Deferred: only a session that writes results needs them.
    from pytest_lmmeval.config.output_folder import check_output_folder, check_predictions
    from pytest_lmmeval.errors import UsageError

    try:
        if settings.predict_only:
            check_predictions(settings)
        if settings.output_path is not None:
            check_output_folder(settings.output_path)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def _check_model(settings: RunConfig) -> None:
    # Deferred: only a session that names a model needs to know models.
    from pytest_lmmeval.errors import UsageError
    from pytest_lmmeval.plans.task_plans import check_model

    try:
        check_model(settings, complete=False)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what is measured."""
    return report_header(config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer ``--lmm-tasks=list`` and end."""
    if config.getoption(f"{PREFIX}tasks") == ["list"]:
        # Deferred: no other session lists anything.
        from pytest_lmmeval.errors import LmmError
        from pytest_lmmeval.reports.listing import list_tasks

        try:
            list_tasks(read_options(config), print, verbose=config.get_verbosity() > 0)
        except LmmError as error:
            raise pytest.UsageError(str(error)) from None
        return 0
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """On a controller, do what was left for the time in which workers start."""
    start_if_put_off(session.config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect suites, and task YAMLs that the command line names."""
    if not is_ours(file_path, named=parent.session.isinitpath(file_path)):
        return None
    run_of(parent.config)  # imports what a benchmark needs, at less cost than a plain import
    # Deferred: a session that collects no benchmark must not pay for these.
    from pytest_lmmeval.session.collection import collector_at

    return collector_at(file_path, parent)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker know what it needs to."""
    # Deferred: only a session with workers needs it.
    from pytest_lmmeval.session.nodes import set_up

    set_up(node)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Let the others know of a worker that is gone; end a run in which it could not take part."""
    # Deferred, as above.
    from pytest_lmmeval.session.nodes import take_leave

    take_leave(node, error)


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> Generator[None, Any, Any]:
    """Wrap the scheduler, so that gates run on the controller."""
    inner = yield
    if inner is None:
        return inner
    from pytest_lmmeval.session.scheduling import EachRefusing, GateScheduling

    session: Any = config.pluginmanager.get_plugin("session")
    wrapper = EachRefusing if config.getoption("dist") == "each" else GateScheduling
    return wrapper(inner, session)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, Any, Any]:
    """Decide the gates whose parts were lost with a worker, when the loop has ended by itself."""
    result = yield
    dsession = session.config.pluginmanager.get_plugin("dsession")
    run_undecided = getattr(getattr(dsession, "sched", None), "run_undecided_gates", None)
    if run_undecided is not None:
        run_undecided()
    return result


@pytest.fixture(scope="session")
def lmm_models(pytestconfig: pytest.Config) -> ModelPool:
    """All models of this process, by plan; suites take theirs from here."""
    return run_of(pytestconfig).open.models


@pytest.fixture(scope="session")
def lmm_model(lmm_models: ModelPool) -> LM:
    """The model under test, from ``--lmm-model`` and ``--lmm-model-args``.

    Override it in a ``conftest.py`` to test a model of your own.
    """
    return lmm_models.default()


@pytest.fixture
def lmm_evaluate(lmm_model: LM, pytestconfig: pytest.Config) -> Callable[..., TaskEvaluation]:
    """Evaluate a task on the model under test: ``lmm_evaluate("ai2d", limit=100)["exact_match"]``.

    Keyword arguments are settings as the options have them (``limit``, ``num_fewshot``, …), and win
    over them.
    """
    # Deferred: an unrelated session has no use for it.
    from pytest_lmmeval.errors import LmmError

    run = run_of(pytestconfig)
    hooks: Any = pytestconfig.pluginmanager.get_plugin("lmmeval-hooks")
    hooks.watch(pytestconfig, {})

    def evaluate(task: str, **settings: Any) -> TaskEvaluation:
        __tracebackhide__ = True
        try:
            return run.open.evaluate(lmm_model, task, settings)
        except LmmError as error:
            # It says all there is to say; the way through this package says nothing.
            raise error.with_traceback(None) from None

    return evaluate


@pytest.fixture
def lmm_evaluate_async(
    lmm_evaluate: Callable[..., TaskEvaluation],
) -> Callable[..., Awaitable[TaskEvaluation]]:
    """Like ``lmm_evaluate``, to be awaited: the test's event loop stays free meanwhile."""
    # Deferred: asyncio costs an unrelated session 20 ms.
    import asyncio

    return lambda task, **settings: asyncio.to_thread(lmm_evaluate, task, **settings)


@pytest.fixture
def lmm_result(
    request: pytest.FixtureRequest, lmm_evaluate: Callable[..., TaskEvaluation]
) -> TaskEvaluation:
    """The evaluation that the test's ``lmm_task`` marker asks for."""
    marker = request.node.get_closest_marker("lmm_task")
    if marker is None or len(marker.args) != 1:
        pytest.fail(
            f"{request.node.nodeid}: the fixture lmm_result needs a marker with one task, "
            "as in @pytest.mark.lmm_task('ai2d', limit=100)",
            pytrace=False,
        )
    return lmm_evaluate(marker.args[0], **marker.kwargs)
