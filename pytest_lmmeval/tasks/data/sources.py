"""Where a task's data come from, and what of them is on this machine; nothing is opened here."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import DataError
from pytest_lmmeval.tasks.data.hub_files import file_in_place_of, hub_names

# Builders that read files of a format instead of a repository.
FILE_BUILDERS = frozenset(
    {
        "arrow",
        "audiofolder",
        "csv",
        "imagefolder",
        "json",
        "pandas",
        "parquet",
        "text",
        "videofolder",
        "webdataset",
        "xml",
    }
)


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where a task's data come from.

    Attributes:
        path: Hub name, builder or local path.
        name: Name of the configuration (subset).
        kwargs: Further arguments of ``datasets.load_dataset``.
        folders: Where relative paths are looked for, in order.
        split: The split that is needed, for data sets saved without a name for theirs.
        trust_remote_code: Whether code of a repository may run, where the library still can.
    """

    path: str
    name: str | None
    kwargs: Mapping[str, Any]
    folders: tuple[Path, ...]
    split: str
    trust_remote_code: bool = False

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"data set {self.path!r}" + (f" ({self.name})" if self.name else "")


def find_data(source: DataSource | None, data_map: Mapping[str, Path]) -> None:
    """Look whether a data set is on this machine, without opening it.

    Args:
        source: Where the data come from; None for a function's, which nothing is known about.
        data_map: Local folders that stand for hub names.

    Raises:
        DataError: It is not.
    """
    if source is None:
        return
    if source.path in data_map:
        if not Path(data_map[source.path]).exists():
            raise DataError(f"{source.label}: there is no folder {data_map[source.path]}")
    elif source.path in FILE_BUILDERS:
        found = with_local_files(source, dict(source.kwargs), data_map)
        if names := hub_names(found.get("data_files")):
            raise DataError(f"{source.label} of {', '.join(names)}, which is not on this machine")
    elif local_path(source) is None and not _is_cached(source.path):
        raise DataError(f"{source.label}, which is not on this machine")


@functools.lru_cache(maxsize=4096)
def _is_cached(name: str) -> bool:
    """Whether the libraries' caches hold something of a data set. Imports neither of them."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    places = (hub / f"datasets--{name.replace('/', '--')}", prepared / name.replace("/", "___"))
    return any(place.is_dir() for place in places)


def local_folder(source: DataSource) -> Path | None:
    """Return the folder on this machine that a data set's path names, if it names one."""
    path = None if source.path in FILE_BUILDERS else local_path(source)
    return path if path is None or path.is_dir() else path.parent


def local_path(source: DataSource) -> Path | None:
    """Return what is at a data set's path on this machine; None if nothing is."""
    candidates = (folder / Path(source.path).expanduser() for folder in source.folders)
    return next((path.resolve() for path in candidates if path.exists()), None)


def with_local_files(
    source: DataSource, kwargs: dict[str, Any], data_map: Mapping[str, Path]
) -> dict[str, Any]:
    """Return the arguments of a builder, with the paths of its files made absolute.

    Raises:
        DataError: There is no such file.
    """
    places = ("data_files", "data_dir")
    found = {key: _absolute(source, kwargs[key], data_map) for key in places if key in kwargs}
    return {**kwargs, **found}


def _absolute(source: DataSource, value: Any, data_map: Mapping[str, Path]) -> Any:
    if isinstance(value, Mapping):
        return {split: _absolute(source, files, data_map) for split, files in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(source, file, data_map) for file in value]
    if not isinstance(value, str):
        return value
    if "://" in value:
        return file_in_place_of(value, data_map) or value
    for folder in source.folders:
        path = folder / Path(value).expanduser()
        if path.exists() or any(folder.glob(value) if not Path(value).is_absolute() else ()):
            return str(path)
    looked = " or ".join(str(folder) for folder in source.folders)
    raise DataError(f"{source.label}: there is no file {value!r} in {looked}")
