"""Checkpoint folders: whether there is one, and what tells it from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from pytest_lmmeval.errors import ModelUnavailable

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_SETTINGS = (".json", ".jinja", ".model", ".txt")
_DIGITS = 16


def local_folder(pretrained: str) -> Path | None:
    """Return the folder of a checkpoint; None if ``pretrained`` is a name on the hub.

    Raises:
        ModelUnavailable: ``pretrained`` can only be a path, and no checkpoint is there.
    """
    folder = Path(pretrained).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ModelUnavailable(f"{folder} is no checkpoint: it has no config.json")
        return folder
    if folder.exists():
        raise ModelUnavailable(f"{folder} is a file; give the folder of a checkpoint")
    if folder.is_absolute() or pretrained.startswith((".", "~")) or len(folder.parts) > 2:
        raise ModelUnavailable(f"there is no checkpoint at {folder}")
    return None


def fingerprint(folder: Path) -> dict[str, str]:
    """Return digests of a checkpoint's weights, and of its settings, tokenizer and templates.

    Reads every byte, about a second per gigabyte. Names count, but not where the folder lies.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {
        "weights": _digest(path for path in files if path.suffix in _WEIGHTS),
        "settings": _digest(path for path in files if path.suffix in _SETTINGS),
    }


def _digest(files: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(f"{path.name}\0".encode())
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:_DIGITS]
