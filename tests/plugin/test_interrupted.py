"""Ctrl-C on a run whose server is slow: what was answered is kept, and nothing is waited for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import results_of
from servers import MODEL, Received, Reply, ScriptedServer

TASK = """
task: slow
custom_dataset: !function rows.load
test_split: test
doc_to_text: "{{number}}"
doc_to_target: "{{number}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
parts: 4
"""
ROWS = """
from PIL import Image

def load():
    return {"test": [{"number": i} for i in range(40)]}

def visual(doc):
    return [Image.new("RGB", (8, 8))]
"""
ANSWERED, LONG = 24, 240.0


@pytest.fixture
def stuck() -> Iterator[tuple[ScriptedServer, threading.Event]]:
    """A server that answers the first requests, and an event for when it keeps one waiting."""
    waiting, over = threading.Event(), threading.Event()

    def script(request: Received) -> Reply | str:
        if request.number >= ANSWERED:
            waiting.set()
            over.wait(LONG)
        # So that none of the first part's docs comes so late that it is kept waiting, too.
        time.sleep(0.1)
        return request.prompt

    with ScriptedServer(script) as server:
        yield server, waiting
        over.set()


def begin(folder: Path, server: ScriptedServer, task: str, *args: str) -> subprocess.Popen[bytes]:
    """Start pytest with a task in a folder."""
    (folder / "slow.yaml").write_text(task)
    (folder / "rows.py").write_text(ROWS)
    (folder / "tox.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    arguments = f"base_url={server.url},model={MODEL},num_concurrent=8"
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:randomly", "--lmm-model=openai_compatible",
         f"--lmm-model-args={arguments}", "--lmm-tasks=./slow.yaml", "--lmm-output-path=out",
         *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "workers"])
def test_ctrl_c_saves_what_was_answered_and_waits_for_nothing(
    tmp_path: Path, stuck: tuple[ScriptedServer, threading.Event], workers: tuple[str, ...]
) -> None:
    server, waiting = stuck
    run = begin(tmp_path, server, TASK, *workers)
    assert waiting.wait(LONG / 2)
    end = time.monotonic() + LONG / 2
    while not list(tmp_path.rglob("*.parts/*.jsonl")) and time.monotonic() < end:
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    # Far less than the server takes, which answers nothing while this waits.
    output = run.communicate(timeout=LONG / 2)[0].decode()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in output
    assert "of 4 parts gave no result" in output
    assert "slow.yaml::exact_match,none: incomplete, not judged" in output
    found = results_of(tmp_path / "out")
    assert found["verdicts"] == []
    assert found["results"] == {}
    missing = found["incomplete"]["slow.yaml"]
    samples = [
        json.loads(line)["doc_id"]
        for path in (tmp_path / "out").rglob("samples_slow_*.jsonl")
        for line in path.read_text().splitlines()
    ]
    # Whole parts of ten docs each, every doc once.
    assert len(set(samples)) == len(samples) == 10 * (4 - len(missing))


def test_ctrl_c_before_anything_was_answered_names_the_gates(tmp_path: Path) -> None:
    waiting, over = threading.Event(), threading.Event()

    def script(request: Received) -> str:
        waiting.set()
        over.wait(LONG)
        return request.prompt

    # The first question is whether the server reads images.
    pictures = f"{TASK}dialect: lmms_eval\ndoc_to_visual: !function rows.visual\n"
    with ScriptedServer(script, sees_probes=True) as server:
        run = begin(tmp_path, server, pictures)
        assert waiting.wait(LONG / 2)
        run.send_signal(signal.SIGINT)
        output = run.communicate(timeout=LONG / 2)[0].decode()
        over.set()
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert "slow.yaml::exact_match,none: incomplete, not judged" in output
    assert "Task was destroyed" not in output
