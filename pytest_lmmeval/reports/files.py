"""``results_*.json`` and ``samples_*.jsonl`` under ``--lmm-output-path``.

Samples are written as parts arrive, one file per part, and joined when their task is complete: what
a stopped run had measured stays on disk, and nothing waits in memory.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmmeval.ledger import PartResult
from pytest_lmmeval.options import RunConfig
from pytest_lmmeval.results import sample_rows

# Bytes that leave room for what is put around a name; file systems take 255.
_LONGEST_NAME = 180


class ResultFiles:
    """The files of one run. Writes nothing unless the user named a folder.

    Attributes:
        folder: ``<output path>/<model>``, once a part has told the model's name; None before, and
            if nothing is to be written.
        written: The results file, once it was written.
    """

    def __init__(self, config: RunConfig) -> None:
        self._stamp = datetime.datetime.now().isoformat(timespec="microseconds").replace(":", "-")
        self._config = config
        self.folder: Path | None = None
        self.written: Path | None = None

    def add_part(self, part: PartResult) -> None:
        """Write a part's samples."""
        if self._config.output_path is None:
            return
        if self.folder is None:
            model = part.about["model"].get("model") or self._config.model or "model"
            self.folder = self._config.output_path / file_name(model)
        if not self._config.log_samples:
            return
        # Deferred: a run without an output folder writes no JSON.
        from pytest_lmmeval.reports.json_text import json_line

        target = self._parts(part.key) / f"{part.index:04d}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for sample in part.samples:
                for row in sample_rows(sample):
                    out.write(json_line(row))

    def join_samples(self, key: str, name: str) -> None:
        """Join the parts of a task, which are slices of its docs in order."""
        parts = self._parts(key) if self.folder is not None else None
        if self.folder is None or parts is None or not parts.is_dir():
            return
        target = self.folder / f"samples_{file_name(name)}_{self._stamp}.jsonl"
        with target.open("ab") as out:
            for part in sorted(parts.iterdir()):
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, out)
        shutil.rmtree(parts)

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Write ``results_<time>.json``, also of a run that measured nothing."""
        if self._config.output_path is None:
            return
        if self.folder is None:
            self.folder = self._config.output_path / file_name(self._config.model or "model")
        from pytest_lmmeval.reports.json_text import json_document

        self.folder.mkdir(parents=True, exist_ok=True)
        self.written = self.folder / f"results_{self._stamp}.json"
        self.written.write_bytes(json_document(results))

    def _parts(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"samples_{file_name(key)}_{self._stamp}.parts"


def file_name(text: str) -> str:
    """Return a name that every file system takes, also between others and with an ending."""
    name = re.sub(r"[^\w.@+=-]+", "__", text).strip("_") or "model"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"_{digest}"
