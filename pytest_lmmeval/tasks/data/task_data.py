"""A task's docs: the evaluated split and the pool that shots are drawn from."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import DataError, nearest
from pytest_lmmeval.tasks.data.flat_files import FlatRows
from pytest_lmmeval.tasks.data.joined import joined
from pytest_lmmeval.tasks.data.library_arguments import library_arguments
from pytest_lmmeval.tasks.data.media_files import MediaFolders, cache_folder, require_videos
from pytest_lmmeval.tasks.data.opening import open_splits
from pytest_lmmeval.tasks.data.sources import DataSource, local_folder
from pytest_lmmeval.tasks.data.tables import Table, images_as_stored, kind_of, make_table
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.specs import Function
from pytest_lmmeval.tasks.functions.calls import UserFunction, seeded_for, user_function
from pytest_lmmeval.tasks.functions.user_functions import Functions


class TaskData:
    """Opens a task's data when they are first asked for; safe in several threads.

    The task's own functions draw the same random numbers in every run and process, so that docs
    which they shuffle, or whose choices, stay the same docs.

    Args:
        config: The task.
        functions: Its modules.
        data_map: Local folders that stand for hub names.
        trust_remote_code: Whether code of a hub repository may run.
        model_args: The model's arguments, for ``custom_dataset``.
        decode_at_once: Whether an image is decoded with its row, and not when somebody looks at it.
    """

    def __init__(
        self,
        config: TaskConfig,
        functions: Functions,
        data_map: Mapping[str, Path] | None = None,
        trust_remote_code: bool = False,
        model_args: Mapping[str, Any] | None = None,
        decode_at_once: bool = False,
    ) -> None:
        self._model_args = model_args or {}
        self._decode_at_once = decode_at_once
        self._config = config
        self._functions = functions
        self._data_map = data_map or {}
        self._trust_remote_code = trust_remote_code
        self._lock = threading.RLock()
        self._splits: Mapping[str, Any] | None = None
        self._tables: dict[tuple[str, int], Table] = {}
        self._samples: Table | None = None
        self._docs: Table | None = None

    @property
    def named_by(self) -> str:
        """The key that says where the docs are."""
        keys = ("custom_dataset", "dataset_kwargs")
        return next((key for key in keys if key in self._config.origins), "dataset_path")

    @property
    def docs(self) -> Table:
        """The evaluated docs, after ``process_docs``.

        Raises:
            TaskError: The task names no data, or a function that it names failed.
            DataError: The data are not there or hold no docs.
        """
        if self._docs is None:
            split = self._config.eval_split
            table = self._table(split, self._config.process_docs)
            if not len(table):
                message = f"split {split!r} holds no docs"
                raise self._config.data_error(self._split_key(split), message)
            self._docs = table
        return self._docs

    @property
    def pool(self) -> Table:
        """The docs that shots are drawn from.

        ``fewshot_config``'s split or samples, else the training, validation or test split,
        whichever the task names first.
        """
        fewshot, split = self._config.fewshot_config, self.pool_split
        if split is None:
            return self._given_samples()
        named = fewshot.split or self._config.fewshot_split
        own = fewshot.process_docs if named else None
        return self._table(split, own or self._config.process_docs)

    @property
    def pool_split(self) -> str | None:
        """Name of the split that shots are drawn from; None where the task gives them itself."""
        config, fewshot = self._config, self._config.fewshot_config
        named = fewshot.split or config.fewshot_split
        if named is None and fewshot.samples is not None:
            return None
        return named or config.training_split or config.validation_split or config.eval_split

    def _table(self, split: str, process: Function | None) -> Table:
        key = (split, id(process))
        with self._lock:
            if key not in self._tables:
                docs = self._read(split, process)
                self._tables[key] = joined(docs, split, self._config, self._open_dataset)
            return self._tables[key]

    def _read(self, split: str, process: Function | None) -> Table:
        if self._splits is None:
            self._splits = self._open(as_rows=process is None)
        if split not in self._splits:
            names = [str(name) for name in self._splits]
            known = ", ".join(names) or "none"
            message = f"there is no split {split!r}; there are: {known}.{nearest(split, names)}"
            raise self._config.data_error(self._split_key(split), message)
        rows = self._splits[split]
        if process is None:
            return self._as_table(rows, f"split {split!r}", self._split_key(split))
        if isinstance(rows, FlatRows):
            # The task's function takes a Dataset.
            self._splits = self._open(as_rows=False)
            rows = self._splits[split]
        function = self._function(process, "process_docs")
        if not self._decode_at_once:
            rows = images_as_stored(rows)
        with seeded_for(f"{self._config.task}:{split}"):
            table = make_table(function.call(rows), decode_at_once=self._decode_at_once)
        if table is None:
            raise function.error("returned neither a Dataset nor a list of mappings")
        return table

    def _as_table(self, rows: Any, what: str, key: str) -> Table:
        table = make_table(rows, decode_at_once=self._decode_at_once)
        if table is None:
            message = f"{what} is {kind_of(rows)}; expected a Dataset that is not streamed, or a "
            raise self._config.data_error(key, message + "list of mappings")
        return table

    def _split_key(self, split: str) -> str:
        """Return the key that names a split."""
        keys = ("test_split", "validation_split", "fewshot_split", "training_split")
        return next((k for k in keys if getattr(self._config, k) == split), "fewshot_config")

    def _given_samples(self) -> Table:
        samples = self._config.fewshot_config.samples
        with self._lock:
            if self._samples is None:
                if not isinstance(samples, list | tuple):
                    samples = self._function(samples, "fewshot_config.samples").call()
                self._samples = self._as_table(samples, "fewshot_config.samples", "fewshot_config")
            return self._samples

    def _function(self, value: Any, role: str) -> UserFunction:
        return user_function(value, role, self._config.task, self._functions)

    def _open(self, name: str | None = None, *, as_rows: bool = True) -> Mapping[str, Any]:
        """Return the splits of the task's data set, or of another configuration of it.

        Args:
            name: The configuration; None for the task's own.
            as_rows: Whether a sequence of rows does where that is quicker than a ``Dataset``.
        """
        config = self._config
        if config.custom_dataset is not None:
            return self._custom(config.custom_dataset)
        if not config.dataset_path:
            raise config.error("task", "has neither 'dataset_path' nor 'custom_dataset'")
        source = data_source(config, self._trust_remote_code)
        assert source is not None, "the task names its data"
        source = source if name is None else replace(source, name=name)
        try:
            require_videos(source.label, self._video_cache, self._standing_folders(source))
            return open_splits(source, self._data_map, as_rows=as_rows)
        except DataError as error:
            raise config.data_error(self.named_by, str(error)) from error

    def _open_dataset(self, name: str | None) -> Mapping[str, Any]:
        return self._open(name, as_rows=False)

    @property
    def _video_cache(self) -> Path | None:
        return cache_folder(self._config.task, self._config.dataset_kwargs or {})

    def _standing_folders(self, source: DataSource | None) -> tuple[Path, ...]:
        """Return the folders that stand for the data set on this machine."""
        if source is None:
            return ()
        mapped = self._data_map.get(source.path)
        local = local_folder(source)
        return tuple(Path(folder) for folder in (mapped, local) if folder is not None)

    @functools.cached_property
    def _media_folders(self) -> MediaFolders:
        cache = self._video_cache
        standing = self._standing_folders(data_source(self._config))
        own = self._config.source.parent
        return MediaFolders((own, *standing, *([cache] if cache else [])), cache)

    def media_file(self, path: Path) -> Path:
        """Return where a file of media is; the path as it is, if it is nowhere."""
        return self._media_folders.find(path)

    def _custom(self, value: Function) -> Mapping[str, Any]:
        function = self._function(value, "custom_dataset")
        metadata = self._config.metadata if isinstance(self._config.metadata, Mapping) else {}
        given = {
            **metadata,
            # Later ones win, as they do there.
            **self._model_args,
            "config_source": str(self._config.source),
            **(self._config.dataset_kwargs or {}),
        }
        with seeded_for(self._config.task):
            splits = function.call(**_accepted(function, given))
        if not isinstance(splits, Mapping):
            raise function.error(f"returned {type(splits).__name__}, expected {{split: docs}}")
        return splits


def data_source(config: TaskConfig, trust_remote_code: bool = False) -> DataSource | None:
    """Return where a task's data come from; None if a function of its own gives them.

    Args:
        config: The task.
        trust_remote_code: Whether code of a hub repository may run.
    """
    if config.custom_dataset is not None or not config.dataset_path:
        return None
    origin = config.origins.get("dataset_kwargs") or config.origins.get("dataset_path")
    folders = [origin.path.parent] if origin else []
    return DataSource(
        path=config.dataset_path,
        name=config.dataset_name,
        kwargs=library_arguments(config.dataset_kwargs or {}),
        folders=tuple(dict.fromkeys([*folders, config.source.parent, Path.cwd()])),
        split=config.eval_split,
        trust_remote_code=trust_remote_code,
    )


def _accepted(function: UserFunction, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a function can take; lm-eval passes all, wanted or not."""
    try:
        parameters = inspect.signature(function.function).parameters.values()
    except ValueError:
        return dict(given)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return {key: value for key, value in given.items() if isinstance(key, str)}
    names = {parameter.name for parameter in parameters}
    return {key: value for key, value in given.items() if key in names}


def missing_column(
    config: TaskConfig, role: str, column: str, columns: Iterable[object], note: str = ""
) -> DataError:
    """Return the error for a column that a task uses and its docs do not have.

    Args:
        config: The task.
        role: The key that uses it, such as ``doc_to_text``.
        column: The column.
        columns: Those that there are.
        note: Follows the column's name.
    """
    names = list(map(str, columns))
    known = ", ".join(names) or "none"
    message = f"the docs have no column {column!r}{note}; they have: {known}."
    return config.data_error(role.partition(".")[0], message + nearest(column, names))
