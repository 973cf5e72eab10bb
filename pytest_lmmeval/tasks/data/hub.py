"""Opening data sets through the ``datasets`` library: hub names, local folders and local files.

A hub name that cannot be reached is an error within seconds. The library itself would retry for
half a minute per file, in every worker.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import DataError
from pytest_lmmeval.tasks.data.empty_files import find_empty
from pytest_lmmeval.tasks.functions.user_functions import describe

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
# What only lmms-eval understands, and what has no meaning for local files.
_LMMS_KEYS = ("force_download", "force_unzip", "create_link", "max_retries")
_HUB_KEYS = (
    "revision",
    "token",
    "use_auth_token",
    "download_mode",
    "local_files_only",
    "trust_remote_code",
)

# Seconds to wait for the hub's first answer.
_PROBE_TIMEOUT = 10.0
_SWITCHING = threading.Lock()


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


def open_splits(source: DataSource, data_map: Mapping[str, Path]) -> Mapping[str, Any]:
    """Open a data set and return its splits by name.

    Args:
        source: Where the data come from.
        data_map: Local folders that stand for hub names.

    Raises:
        DataError: It is not there, cannot be read, or cannot be reached.
    """
    kwargs = {key: value for key, value in source.kwargs.items() if key not in _LMMS_KEYS}
    from_disk = kwargs.pop("load_from_disk", False)
    local = {key: value for key, value in kwargs.items() if key not in _HUB_KEYS}
    with _quiet():
        if source.path in data_map:
            return _open_folder(source, Path(data_map[source.path]), local)
        if source.path == "pandas" and not source.trust_remote_code:
            message = f"{source.label} is read from pickles, which can run any code; convert it, "
            raise DataError(f"{message}to parquet for example, or say --lmm-trust-remote-code")
        if source.path in FILE_BUILDERS:
            return _load(source, source.path, source.name, _with_local_files(source, local))
        folder = _local_path(source)
        if folder is not None:
            return _open_folder(source, folder, local)
        if from_disk:
            raise DataError(f"{source.label}: there is no such folder to load from disk")
        return _open_hub(source, kwargs)


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
        _with_local_files(source, dict(source.kwargs))
    elif _local_path(source) is None and not _is_cached(source.path):
        raise DataError(f"{source.label}, which is not on this machine")


@functools.lru_cache(maxsize=4096)
def _is_cached(name: str) -> bool:
    """Whether the libraries' caches hold something of a data set. Imports neither of them."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()
    prepared = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    places = (hub / f"datasets--{name.replace('/', '--')}", prepared / name.replace("/", "___"))
    return any(place.is_dir() for place in places)


def _local_path(source: DataSource) -> Path | None:
    candidates = (folder / Path(source.path).expanduser() for folder in source.folders)
    return next((path.resolve() for path in candidates if path.exists()), None)


def _with_local_files(source: DataSource, kwargs: dict[str, Any]) -> dict[str, Any]:
    places = ("data_files", "data_dir")
    found = {key: _absolute(source, kwargs[key]) for key in places if key in kwargs}
    return {**kwargs, **found}


def _absolute(source: DataSource, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {split: _absolute(source, files) for split, files in value.items()}
    if isinstance(value, list | tuple):
        return [_absolute(source, file) for file in value]
    if not isinstance(value, str) or "://" in value:
        return value
    for folder in source.folders:
        path = folder / Path(value).expanduser()
        if path.exists() or any(folder.glob(value) if not Path(value).is_absolute() else ()):
            return str(path)
    looked = " or ".join(str(folder) for folder in source.folders)
    raise DataError(f"{source.label}: there is no file {value!r} in {looked}")


def _open_folder(source: DataSource, folder: Path, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    if not folder.exists():
        raise DataError(f"{source.label}: the folder {folder}, which stands for it, is not there")
    subset = folder / source.name if source.name else None
    saved = _open_saved(source, folder) or (_open_saved(source, subset) if subset else None)
    if saved is not None:
        return saved
    if subset is not None and subset.is_dir() and not _describes_configurations(folder):
        return _load(source, str(subset), None, kwargs)
    name = source.name if _describes_configurations(folder) else None
    return _load(source, str(folder), name, kwargs)


def _open_saved(source: DataSource, folder: Path) -> Mapping[str, Any] | None:
    import datasets

    if not ((folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()):
        return None
    try:
        saved = datasets.load_from_disk(str(folder))
    # The library and its codecs raise what they like for damaged files.
    except Exception as error:
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
    try:
        found = datasets.load_dataset(path, name, **wanted, **code)
    # Builders, codecs and file systems raise what they like.
    except Exception as error:
        empty = find_empty(path, kwargs.get("data_files"))
        cause = error.__cause__ or error
        reason = describe(cause)
        if isinstance(cause, StopIteration):
            reason = empty or "it is empty"  # how the library ends a file without rows
        elif empty:
            # Whether that is why depends on the format and on the library's version.
            reason = f"{empty} ({reason})"
        raise DataError(f"{source.label} cannot be loaded: {reason}") from error
    return found if isinstance(found, Mapping) else {str(kwargs.get("split", source.split)): found}


def _open_hub(source: DataSource, kwargs: dict[str, Any]) -> Mapping[str, Any]:
    kwargs = {**kwargs, "token": _token(kwargs.pop("token", None))}
    reachable, reason = False, "'local_files_only' keeps this run from the hub. "
    if not kwargs.pop("local_files_only", False):
        reachable, reason = _probe(source, kwargs.get("revision"), kwargs["token"])
    try:
        with contextlib.nullcontext() if reachable else _offline():
            return _load(source, source.path, source.name, kwargs)
    except DataError as error:
        raise DataError(f"{error}. {reason}{_how_to_map(source.path)}") from error


def _token(value: Any) -> Any:
    """Return the token to use: most of lmms-eval's tasks ask for a login that they do not need."""
    import huggingface_hub

    return (huggingface_hub.get_token() or None) if value is True else value


def _probe(source: DataSource, revision: str | None, token: Any) -> tuple[bool, str]:
    """Ask the hub for the data set once; return whether to go on online, and what it said.

    Raises:
        DataError: The hub knows no such data set, or does not let this user at it.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        huggingface_hub.HfApi().dataset_info(
            source.path, revision=revision, timeout=_PROBE_TIMEOUT, token=token
        )
    except HFValidationError as error:
        looked = " or ".join(map(str, source.folders))
        message = f"{source.path!r} is neither a hub name nor a path in {looked}"
        raise DataError(message) from error
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 500)
        if status < 500 and status != 429:
            message = f"{source.label} is not available: {describe(error)}. "
            raise DataError(message + _how_to_map(source.path)) from error
        return False, f"The hub answered {status}. "
    # Whatever its HTTP library raises, which has changed between versions: there is no hub.
    except Exception as error:
        return False, f"The hub cannot be reached ({describe(error)}). "
    return True, ""


def _how_to_map(name: str) -> str:
    return (
        f"Where there is a network, download it with 'hf download {name} --repo-type dataset "
        f"--local-dir DIR', and name the folder with --lmm-data-map {name}=DIR"
    )


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Let the libraries look into their caches only.

    They read this switch from the environment when they are imported, and offer no other way to
    set it for a call.
    """
    import datasets
    import huggingface_hub.constants

    places: tuple[Any, ...] = (huggingface_hub.constants, datasets.config)
    with _SWITCHING:
        before = [place.HF_HUB_OFFLINE for place in places]
        for place in places:
            place.HF_HUB_OFFLINE = True
        try:
            yield
        finally:
            for place, value in zip(places, before, strict=True):
                place.HF_HUB_OFFLINE = value


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
