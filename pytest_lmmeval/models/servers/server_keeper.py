"""The process between a run and its model server: it starts the server and never outlives the run.

Run as a script with settings as JSON on its standard input. It starts the server as leader of its
own process group, prints one JSON line, leaves its parent's process group and then watches: when
the run's controller is gone, however it went, or SIGTERM comes, or the server exits, the server's
whole group is killed. It imports nothing of this package, so that it starts fast and anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

_POLL_EVERY = 0.2


def started_at(pid: int) -> str | None:
    """Return what tells a process from a later one with its number; None if it is not running.

    A zombie is not running. Without ``/proc`` the answer is only whether there is such a process.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            return ""  # there is one, of another user
        return ""
    return None if fields[0] in "ZX" else fields[19]


def kill_group(pid: int, signal_number: int) -> None:
    """Send a signal to all that is left of a process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal_number)


class Keeper:
    """Keeps one server.

    Args:
        settings: ``cmd``, ``env`` (added to ours), ``cwd``, ``log``, ``exit`` (the file that gets
            the server's exit code), ``owner`` and ``owner_started``, ``grace`` (seconds between
            SIGTERM and SIGKILL).
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._told_to_stop = False
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def start(self) -> int:
        """Start the server and return its process id, which is also its group's."""
        with Path(self._settings["log"]).open("ab") as log:
            self._server = subprocess.Popen(
                self._settings["cmd"],
                env={**os.environ, **self._settings["env"]},
                cwd=self._settings["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._server.pid

    def watch(self) -> None:
        """Wait until the server exits or is to end, and see that all of it ends."""
        while self._server.poll() is None:
            if self._told_to_stop or not self._is_owner_alive():
                self._stop()
                break
            time.sleep(_POLL_EVERY)
        kill_group(self._server.pid, signal.SIGKILL)
        code = self._server.wait()
        draft = Path(self._settings["exit"] + ".draft")
        draft.write_text(str(code), encoding="utf-8")
        draft.replace(self._settings["exit"])

    def _stop(self) -> None:
        kill_group(self._server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._server.wait(self._settings["grace"])

    def _is_owner_alive(self) -> bool:
        return bool(started_at(self._settings["owner"]) == self._settings["owner_started"])

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True


def main() -> None:
    """Start a server, tell its process id, and keep it in the background."""
    settings = json.load(sys.stdin)
    if os.fork():
        os._exit(0)  # so that whoever launched us has no child to reap
    os.setsid()
    keeper = Keeper(settings)
    try:
        server = keeper.start()
    except OSError as error:
        _tell({"error": f"{error.filename or settings['cmd'][0]}: {error.strerror}"})
        return
    own = os.getpid()
    _tell({"keeper": own, "keeper_started": started_at(own), "server": server})
    keeper.watch()


def _tell(answer: dict[str, Any]) -> None:
    """Print the one line that the launcher waits for, and let go of its pipes."""
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


if __name__ == "__main__":
    main()
