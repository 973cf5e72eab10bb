"""What a task may do while it is looked at: not reach the network, not write foreign files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


class Refused(PermissionError):
    """A task tried to do what a census does not allow."""


def confine(folder: Path) -> None:
    """Refuse network, new programs and writing outside of a folder, for the rest of the process."""
    allowed = (str(folder.resolve()), "/dev/")
    sys.dont_write_bytecode = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and isinstance(path, str | bytes):
                _refuse_path(os.fsdecode(path), allowed)
        elif event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
            # A socket of another family than the internet's is this machine's own.
            if not isinstance(arguments[-1], str | bytes):
                raise Refused("needs the network")
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
            raise Refused(f"starts a program: {str(arguments[0])[:60]}")
        elif event in ("os.remove", "os.rmdir", "shutil.rmtree", "os.mkdir", "os.rename"):
            _refuse_path(os.fsdecode(arguments[0]), allowed)

    sys.addaudithook(watch)


def _refuse_path(path: str, allowed: tuple[str, ...]) -> None:
    if not os.path.abspath(path).startswith(allowed):
        raise Refused(f"writes to {path}")


def environment(folder: Path, modules: Path) -> dict[str, str]:
    """Return the environment of a confined process.

    Args:
        folder: Where all that it writes goes.
        modules: The folder that holds this package.
    """
    own = {
        name: str(folder)
        for name in ("HOME", "TMPDIR", "HF_HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NLTK_DATA")
    }
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return {
        **kept,
        **own,
        # Some scorers make their judge's client when they are imported.
        "OPENAI_API_KEY": "none",
        "PYTHONPATH": str(modules),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_EVALUATE_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "1",
        "DISABLE_MULTIPROC": "1",
    }
