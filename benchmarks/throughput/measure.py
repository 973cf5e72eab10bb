"""Runs a command and says what it took."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    # An installed package is compiled; without this a checkout would be compiled in each run.
    "PYTHONDONTWRITEBYTECODE": "",
}


@dataclass(frozen=True)
class Run:
    """One run of a client.

    Attributes:
        wall: Seconds from start to end of the process.
        cpu: CPU seconds, of it and the processes that it waited for.
        memory: The largest resident set of one of its processes, in MB.
        phase: Seconds from the first request to the last answer, seen by the server.
        requests: Requests that the server saw.
        server_cpu: CPU seconds of the server.
        foreign: Cores that others kept busy meanwhile.
        value: The metric, as the client gave it.
    """

    wall: float
    cpu: float
    memory: float
    phase: float
    requests: int
    server_cpu: float
    foreign: float
    value: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Server:
    """The server, in a process of its own.

    Args:
        vocabulary: The clients' ``tokenizer.json``.
        record: Where bodies go, if they are wanted.
    """

    def __init__(self, vocabulary: Path, record: Path | None = None) -> None:
        command = [sys.executable, "-m", "throughput.server", "--vocabulary", str(vocabulary)]
        command += ["--record", str(record)] if record is not None else []
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def get(self, path: str) -> dict[str, Any]:
        """Return the JSON of a path."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


@contextlib.contextmanager
def serving(vocabulary: Path, record: Path | None = None) -> Iterator[Server]:
    """Give a server that ends with the block."""
    server = Server(vocabulary, record)
    try:
        yield server
    finally:
        server.close()


@dataclass(frozen=True)
class Took:
    """What a process took: seconds, CPU seconds, MB, and cores that others kept busy."""

    wall: float
    cpu: float
    memory: float
    busy: float


def run(command: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> Took:
    """Run a command to its end.

    Raises:
        SystemExit: It failed; with the end of what it said.
    """
    busy, begin = _busy(), time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=os.environ | _SETTINGS | dict(environment),
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    if process.returncode != 0:
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        raise SystemExit(f"{' '.join(command)} failed ({process.returncode}):\n{said}")
    cpu = usage.ru_utime + usage.ru_stime
    return Took(wall, cpu, usage.ru_maxrss / 1024, _busy() - busy)


def _busy() -> float:
    """Return the CPU seconds that all processes of the machine took since it started."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
