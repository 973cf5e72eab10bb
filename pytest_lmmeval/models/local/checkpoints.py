"""Checkpoint folders: whether there is one, and what tells it from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import ModelUnavailable

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_SETTINGS = (".json", ".jinja", ".model", ".txt")
_DIGITS = 16


def local_folder(
    pretrained: str, subfolder: str = "", *, settings: str | None = "config.json"
) -> Path | None:
    """Return the folder of a checkpoint; None if ``pretrained`` is a name on the hub.

    Args:
        pretrained: A path or a name on the hub.
        subfolder: Where in the folder the checkpoint is.
        settings: The file that a checkpoint has; an adapter's has another name, and a tokenizer
            need not have any one file.

    Raises:
        ModelUnavailable: ``pretrained`` can only be a path, and no checkpoint is there.
    """
    folder = Path(pretrained).expanduser()
    if folder.is_dir():
        if settings is not None and not (folder / subfolder / settings).is_file():
            raise ModelUnavailable(f"{folder / subfolder} is no checkpoint: it has no {settings}")
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


def refuse_random_weights(checkpoint: str, loaded: Mapping[str, Any]) -> None:
    """Refuse a checkpoint that lacks weights, which transformers fills with random numbers.

    A version that names the layers otherwise is enough for that, and the model still answers.

    Args:
        checkpoint: Its name, for the message.
        loaded: What ``from_pretrained`` returns for ``output_loading_info``.

    Raises:
        ModelUnavailable: Weights are missing.
    """
    missing = sorted(loaded.get("missing_keys") or ())
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise ModelUnavailable(
            f"{checkpoint} lacks weights that this version of transformers would fill with random "
            f"numbers: {', '.join(missing[:3])}{more}"
        )
