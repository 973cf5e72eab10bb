"""Opening data sets through the ``datasets`` library: hub names, local folders and local files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import DataError
from pytest_lmmeval.tasks.data.configurations import configuration_folder
from pytest_lmmeval.tasks.data.empty_files import find_empty
from pytest_lmmeval.tasks.data.flat_files import read_flat
from pytest_lmmeval.tasks.data.hub_access import (
    NoHubName,
    how_to_map,
    offline,
    probe,
    tell_of_another_commit,
    usable_token,
)
from pytest_lmmeval.tasks.data.hub_files import hub_names
from pytest_lmmeval.tasks.data.library_arguments import unknown_argument, without_hub
from pytest_lmmeval.tasks.data.preparing import prepare_apart
from pytest_lmmeval.tasks.data.sources import (
    FILE_BUILDERS,
    DataSource,
    local_path,
    with_local_files,
)
from pytest_lmmeval.tasks.data.split_files import files_by_split
from pytest_lmmeval.tasks.functions.user_functions import describe

# Builders by what the name of a single file ends in.
_FORMATS = {
    ".arrow": "arrow",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".txt": "text",
}


def open_splits(
    source: DataSource, data_map: Mapping[str, Path], *, as_rows: bool = False
) -> Mapping[str, Any]:
    """Open a data set and return its splits by name.

    Args:
        source: Where the data come from.
        data_map: Local folders that stand for hub names.
        as_rows: Whether a sequence of rows does where that is quicker than a ``Dataset``.

    Raises:
        DataError: It is not there, cannot be read, or cannot be reached.
    """
    kwargs = dict(source.kwargs)
    from_disk = kwargs.pop("load_from_disk", False)
    local = without_hub(kwargs)
    if as_rows and source.path == "json" and source.path not in data_map:
        rows = read_flat(with_local_files(source, local, data_map))
        if rows is not None:
            return rows
    with _quiet():
        if source.path in data_map:
            return _open_folder(source, Path(data_map[source.path]), local)
        if source.path == "pandas" and not source.trust_remote_code:
            message = f"{source.label} is read from pickles, which can run any code; convert it, "
            raise DataError(f"{message}to parquet for example, or say --lmm-trust-remote-code")
        if source.path in FILE_BUILDERS:
            return _open_files(source, with_local_files(source, local, data_map))
        folder = local_path(source)
        if folder is not None:
            return _open_folder(source, folder, local)
        if from_disk:
            raise DataError(f"{source.label}: there is no such folder to load from disk")
        return _open_hub(source, kwargs)


def _open_files(source: DataSource, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Open files of a format, some of which may be on the hub."""
    token = usable_token(source.kwargs.get("token"))
    for name, revision in hub_names(kwargs.get("data_files")).items():
        reachable, reason = probe(name, revision, token)
        if not reachable:
            message = f"{source.label}: its files are in {name} on the hub. {reason}"
            raise DataError(message + how_to_map(name, revision))
    return _load(source, source.path, source.name, kwargs | ({"token": token} if token else {}))


def _open_folder(source: DataSource, folder: Path, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    if not folder.exists():
        raise DataError(f"{source.label}: the folder {folder}, which stands for it, is not there")
    if folder.is_file():
        return _open_file(source, folder, kwargs)
    subset = folder / source.name if source.name else None
    saved = _open_saved(source, folder) or (_open_saved(source, subset) if subset else None)
    if saved is not None:
        return saved
    if _describes_configurations(folder):
        return _load(source, str(folder), source.name, kwargs)
    if {"data_files", "data_dir"} & set(kwargs):
        return _load(source, str(folder), None, kwargs)
    try:
        place = configuration_folder(folder, source.name)
    except DataError as error:
        raise DataError(f"{source.label}: {error}") from error
    files = files_by_split(place)
    return _load(source, str(place), None, kwargs | ({"data_files": files} if files else {}))


def _open_file(source: DataSource, file: Path, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Open one file, whose rows are the split that is evaluated."""
    if file.suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise DataError(f"{source.label}: {file} is no folder, and ends in none of {known}")
    files = {"data_files": {source.split: str(file)}}
    return _load(source, _FORMATS[file.suffix], None, kwargs | files)


def _open_saved(source: DataSource, folder: Path) -> Mapping[str, Any] | None:
    import datasets

    if not ((folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()):
        return None
    try:
        saved = datasets.load_from_disk(str(folder))
    except Exception as error:  # the library and its codecs raise what they like
        raise DataError(f"{source.label}: {folder} cannot be read: {describe(error)}") from error
    return saved if isinstance(saved, Mapping) else {source.split: saved}


def _describes_configurations(folder: Path) -> bool:
    """Whether the folder's card says which files belong to which configuration."""
    card = folder / "README.md"
    return card.is_file() and "configs:" in card.read_text(encoding="utf-8", errors="replace")


def _load(
    source: DataSource, path: str, name: str | None, kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    import datasets

    code = {}
    if source.trust_remote_code and int(datasets.__version__.partition(".")[0]) < 4:
        code["trust_remote_code"] = True
    wanted = {key: value for key, value in kwargs.items() if key != "trust_remote_code"}
    prepare_apart(path, name, wanted)
    try:
        found = datasets.load_dataset(path, name, **wanted, **code)
    except Exception as error:  # builders, codecs and file systems raise what they like
        empty = find_empty(path, kwargs.get("data_files"))
        cause = error.__cause__ or error
        reason = unknown_argument(cause) or describe(cause)
        if isinstance(cause, StopIteration):
            reason = empty or "it is empty"  # how the library ends a file without rows
        elif empty:
            # Whether that is why depends on the format and on the library's version.
            reason = f"{empty} ({reason})"
        raise DataError(f"{source.label} cannot be loaded: {reason}") from error
    return found if isinstance(found, Mapping) else {str(kwargs.get("split", source.split)): found}


def _open_hub(source: DataSource, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    kwargs = {**kwargs, "token": usable_token(kwargs.pop("token", None))}
    reachable, reason = False, "'local_files_only' keeps this run from the hub. "
    if not kwargs.pop("local_files_only", False):
        reachable, reason = _asked_hub(source, kwargs)
    try:
        with contextlib.nullcontext() if reachable else offline():
            found = _load(source, source.path, source.name, kwargs)
    except DataError as error:
        how = how_to_map(source.path, kwargs.get("revision"))
        raise DataError(f"{error}. {reason}{how}") from error
    if not reachable:
        tell_of_another_commit(source.label, kwargs.get("revision"), found)
    return found


def _asked_hub(source: DataSource, kwargs: Mapping[str, Any]) -> tuple[bool, str]:
    try:
        return probe(source.path, kwargs.get("revision"), kwargs["token"])
    except NoHubName as error:
        looked = " or ".join(map(str, source.folders))
        message = f"{source.path!r} is neither a hub name nor a path in {looked}"
        raise DataError(message) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars out of the test report."""
    import datasets

    shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            datasets.enable_progress_bars()
