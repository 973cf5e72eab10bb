"""``srt_api`` launches its server where none is there, once for a run, and ends it with the run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from projects import Project, results_of
from servers import ScriptedServer

from pytest_lmmeval import create_model, evaluate, simple_evaluate
from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.servers.server_keeper import started_at
from pytest_lmmeval.warnings import LmmWarning

FAKE = Path(__file__).with_name("fake_sglang.py")
COMMAND = f"{sys.executable} {FAKE}"


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "launches.jsonl"
    monkeypatch.setenv("LAUNCHES", str(path))
    return path


@pytest.fixture
def numbers(project: Project) -> Project:
    (project.pytester.path / "conftest.py").unlink()
    project.add_task("numbers", docs=32)
    return project


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def launched(path: Path) -> list[tuple[int, list[str]]]:
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [(pid, flags) for pid, flags in map(json.loads, lines)]


def arguments(**more: Any) -> dict[str, Any]:
    return {"model_version": "tiny", "port": free_port(), "launch_command": COMMAND, **more}


def as_text(given: dict[str, Any]) -> str:
    return ",".join(
        f'{name}="{v}"' if isinstance(v, str) else f"{name}={v}" for name, v in given.items()
    )


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while started_at(pid) is not None:
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_one_server_answers_all_workers_and_ends_with_the_run(
    workers: str, numbers: Project, launches: Path
) -> None:
    result = numbers.run(
        "numbers.yaml",
        "--lmm-model=srt_api",
        f"--lmm-model-args={as_text(arguments(tp=2, mem_fraction_static=0.5))}",
        "--lmm-output-path=out",
        f"-n{workers}",
    )
    result.assert_outcomes(passed=4, skipped=1)  # the gate has no baseline
    results = results_of(numbers.pytester.path / "out")
    assert results["results"]["numbers"]["exact_match,number"] == 1.0
    ((pid, flags),) = launched(launches)
    assert started_at(pid) is None
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    assert given.pop("--port").isdecimal()
    assert given == {
        "--model-path": "tiny",
        "--host": "127.0.0.1",
        "--tp-size": "2",
        "--mem-fraction-static": "0.5",
    }


def test_the_python_api_launches_a_server_and_ends_it(numbers: Project, launches: Path) -> None:
    task = numbers.pytester.path / "numbers.yaml"
    results = simple_evaluate("srt_api", as_text(arguments()), [task])
    assert results["results"]["numbers"]["exact_match,number"] == 1.0
    model = create_model("srt_api", arguments())
    for _ in range(2):  # a model may be used again, which launches again
        assert evaluate(model, task)["numbers"]["exact_match"] == 1.0
    pids = [pid for pid, _ in launched(launches)]
    assert len(pids) == 3
    assert [pid for pid in pids if started_at(pid) is not None] == []


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_a_launched_server_ends_with_its_run_however_that_ends(
    ending: signal.Signals, numbers: Project, launches: Path
) -> None:
    # Its docs never end, as the server's answers are too slow for a fraction of them.
    (numbers.pytester.path / "rows.py").write_text("import time\ndef load(name): time.sleep(60)\n")
    command = [sys.executable, "-m", "pytest", "numbers.yaml", "--lmm-model=srt_api"]
    command.append(f"--lmm-model-args={as_text(arguments())}")
    with subprocess.Popen(command, cwd=numbers.pytester.path, stdout=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not launched(launches):
            assert time.monotonic() < deadline, "nothing was launched"
            time.sleep(0.05)
        ((pid, _),) = launched(launches)
        run.send_signal(ending)
        wait_until_gone(pid)
        run.kill()


def test_a_server_that_listens_is_attached_to(launches: Path, numbers: Project) -> None:
    task = numbers.pytester.path / "numbers.yaml"
    with ScriptedServer(models=["tiny"]) as server:
        given = arguments(port=server.port)
        assert evaluate(create_model("srt_api", given), task)["numbers"]["exact_match"] == 1.0
        assert len(server.requests) == 32
        with pytest.warns(LmmWarning, match=f"no effect of tp: .*{server.port}"):
            evaluate(create_model("srt_api", given | {"tp": 2, "launch_timeout": 5}), task)
        # launch=true wants a server of its own at this port, which is taken.
        with pytest.raises(ModelUnavailable, match=f"port {server.port} of 127.0.0.1"):
            evaluate(create_model("srt_api", given | {"launch": True}), task)
    assert launched(launches) == []


def test_a_server_with_another_model_is_no_substitute(launches: Path, numbers: Project) -> None:
    with ScriptedServer(models=["other"]) as server:
        model = create_model("srt_api", arguments(port=server.port))
        with pytest.raises(ModelUnavailable, match="does not serve 'tiny'"):
            evaluate(model, numbers.pytester.path / "numbers.yaml")


@pytest.mark.parametrize(
    "named", [{"base_url": "http://127.0.0.1:9/v1"}, {"host": "gpu.invalid"}, {"launch": False}]
)
def test_a_server_that_is_named_is_never_launched(
    named: dict[str, Any], launches: Path, numbers: Project
) -> None:
    model = create_model("srt_api", arguments(**named) | {"launch_command": None})
    with pytest.raises(ModelUnavailable, match="no model server at"):
        evaluate(model, numbers.pytester.path / "numbers.yaml")
    assert launched(launches) == []


def test_the_end_of_the_log_tells_why_a_server_died(numbers: Project, launches: Path) -> None:
    result = numbers.run(
        "numbers.yaml",
        "--lmm-model=srt_api",
        f"--lmm-model-args={as_text(arguments(model_version='broken'))}",
    )
    result.assert_outcomes(errors=1, skipped=4)  # told once
    result.stdout.fnmatch_lines(["*exited before it was ready (exit code 1); the end of its log*"])
    result.stdout.fnmatch_lines(["*ValueError: Unrecognized model in broken*"])
    assert len(launched(launches)) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"launch": True, "base_url": "http://h/v1"}, "goes with neither base_url"),
        ({"launch": True, "host": "elsewhere"}, "goes with neither base_url"),
        ({"launch": "yes"}, "launch must be bool or 'auto'"),
        ({"device": "cuda:0"}, "not 'cuda:0'"),
        ({"tp": "two"}, "tp must be int"),
        ({"server_args": "a"}, "server_args must be dict"),
    ],
)
def test_an_argument_that_cannot_hold_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        create_model("srt_api", {"model_version": "m", **given})


def test_what_decides_the_answers_is_part_of_the_identity(tmp_path: Path) -> None:
    template = tmp_path / "chat.jinja"
    given = {"chat_template": str(template), "quantization": "fp8", "tp": 8}
    identity = create_model("srt_api", {"model_version": "m", **given}).identity()
    assert (identity["chat_template"], identity["quantization"]) == ("chat.jinja", "fp8")
    assert "8" not in identity.values()
    assert str(tmp_path) not in str(identity)


def test_a_served_name_is_what_requests_ask_for() -> None:
    given = {"model_version": "/models/m", "server_args": {"served-model-name": "short"}}
    assert create_model("srt_api", given).identity()["model"] == "short"
    assert os.environ.get("LAUNCHES") is None
