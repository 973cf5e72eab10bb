"""The processes that tasks run in, so that one which hangs or crashes costs only itself."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_START = 300.0


class Lost(Exception):
    """A worker gave no answer."""


class Worker:
    """A process that answers lines of JSON; started when it is first asked, and again once lost.

    Args:
        command: What to run.
        folder: Where it runs and may write.
        environment: Its environment.
        seconds: How long an answer may take.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        seconds: float,
    ) -> None:
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a question.

        Raises:
            Lost: The process hung or ended; the next question finds a new one.
        """
        process = self._process or self.start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(question).encode() + b"\n")
            process.stdin.flush()
            answer: dict[str, Any] = json.loads(self._line(process, self._seconds))
        except (BrokenPipeError, TimeoutError, EOFError) as error:
            self.stop()
            hung = isinstance(error, TimeoutError)
            message = f"hangs: no answer in {self._seconds:g} s" if hung else "ends its process"
            raise Lost(message) from error
        return answer

    def stop(self) -> None:
        """End the process and all that it started."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        # It leads a session of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process and wait until it answers.

        Raises:
            SystemExit: It ends or hangs before; the message has what it said.
        """
        log = self._folder / f"worker-{os.getpid()}-{id(self)}.log"
        with log.open("wb") as errors:
            self._process = process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self._line(process, _START)
        except (EOFError, TimeoutError) as error:
            self.stop()
            said = log.read_text(errors="replace").strip()[-1500:]
            raise SystemExit(f"{' '.join(self._command)} does not start:\n{said}") from error
        return process

    def _line(self, process: subprocess.Popen[bytes], seconds: float) -> bytes:
        import time

        assert process.stdout is not None
        end = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                more = os.read(process.stdout.fileno(), 1 << 16)
                if not more:
                    raise EOFError
                self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line
