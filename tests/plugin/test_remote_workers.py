"""Workers that share no file with the controller, over execnet's socket server."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import execnet.script.socketserver
import pytest
from projects import Project, number_list

WRONG = number_list([*range(0, 200, 5), *range(1000, 1060)])
TASKS = ("--lmm-tasks=good,worse", "--lmm-no-fuse")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def socket_server(folder: Path, log: Path) -> Iterator[int]:
    """Run execnet's socket server in a folder, with a scripted model that is wrong as asked."""
    port = free_port()
    script = execnet.script.socketserver.__file__
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, script, f"127.0.0.1:{port}"], cwd=folder, stdout=out, stderr=out
        )
        try:
            end = time.monotonic() + 30
            while b"Entering Accept loop" not in log.read_bytes() and time.monotonic() < end:
                assert server.poll() is None, log.read_text()
                time.sleep(0.05)
            yield port
        finally:
            server.kill()
            server.wait()


@contextlib.contextmanager
def elsewhere(project: Project, folder: Path) -> Iterator[str]:
    """Give xdist's name of a worker that has a copy of the project, but for its baselines.

    Its ini file would have no samples written, which is for the controller's to say.
    """
    for path in project.pytester.path.iterdir():
        if path.is_file() and path.suffix in (".yaml", ".jsonl", ".py", ".ini"):
            shutil.copy(path, folder)
    with (folder / "tox.ini").open("a") as ini:
        ini.write("\nlmm_log_samples = false\n")
    assert not (folder / "lmm-baselines").exists()
    with socket_server(folder, folder / "server.log") as port:
        yield f"--tx=socket=127.0.0.1:{port}//chdir={folder}"


@pytest.mark.parametrize("dies", [False, True], ids=["both live", "a machine dies"])
def test_workers_elsewhere_with_no_common_files_find_the_same(
    project: Project,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    dies: bool,
) -> None:
    project.add_task("good")
    project.add_task("worse", first=1000)
    args = (*TASKS, "--lmm-include-path=.")
    project.accept(*args)
    expected, _ = project.verdicts(*args, WRONG=WRONG)
    assert expected["worse exact_match,number"]["outcome"] == "FAIL"

    monkeypatch.setenv("WRONG", WRONG)
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    with contextlib.ExitStack() as servers:
        specs = []
        for name in ("here", "there"):
            folder = tmp_path_factory.mktemp(name)
            specs.append(servers.enter_context(elsewhere(project, folder)))
            if dies:
                # The server that runs "there" is the process that its worker kills.
                monkeypatch.setenv("KILL", number_list([*range(200), *range(1000, 1200)]))
        found, result = project.verdicts(*args, *specs, "--dist=load", WRONG=WRONG)
    assert found == expected
    written = (project.pytester.path / "out").rglob("samples_*.jsonl")
    assert [len(path.read_bytes().splitlines()) for path in written] == [200, 200]
    assert result.ret == 1
    result.assert_outcomes(passed=9, failed=1)
    told = "*cannot be started again*: the others measure what it left" if dies else "2 workers*"
    result.stdout.fnmatch_lines([told])


def test_a_worker_elsewhere_that_lacks_a_task_ends_the_run_with_the_reason(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project.add_task("good")
    project.add_task("worse")
    with contextlib.ExitStack() as servers:
        specs = []
        for name in ("here", "there"):
            folder = tmp_path_factory.mktemp(name)
            specs.append(servers.enter_context(elsewhere(project, folder)))
        (folder / "worse.yaml").unlink()
        result = project.run(*TASKS, "--lmm-include-path=.", *specs, "--dist=load")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    told = f"ERROR: worker gw1 (*socket=*chdir={folder}): there is no task, * 'worse' (looked in *"
    result.stderr.fnmatch_lines([told])
    assert "Traceback" not in f"{result.stdout}{result.stderr}"
