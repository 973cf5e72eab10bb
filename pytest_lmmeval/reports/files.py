"""``results_*.json`` and ``samples_*.jsonl`` under ``--lmm-output-path``.

Samples are written as parts arrive, one file per part, and joined when their task is complete: what
a stopped run had measured stays on disk, and nothing waits in memory.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import shutil
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from operator import itemgetter, sub
from pathlib import Path
from typing import Any

from pytest_lmmeval.columns import Column
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.ledger import PartResult, SampleLines
from pytest_lmmeval.records import Sample
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
        # By task and the name of a part's file, whose lines are in it, and in how many bytes each.
        self._lines: dict[str, dict[str, tuple[Column[int], Sequence[int]]]] = {}
        self.folder: Path | None = None
        self.written: Path | None = None

    def add_part(self, part: PartResult) -> None:
        """Write a part's samples."""
        if self._config.output_path is None:
            return
        if self.folder is None:
            model = part.about["model"].get("model") or self._config.model or "model"
            self.folder = self._config.output_path / file_name(model)
        if part.lines is None:
            return
        target = self._parts(part.key) / f"{part.index:04d}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(part.lines.whole)
        of_part = part.docs.doc_id, part.lines.sizes
        self._lines.setdefault(part.key, {})[target.name] = of_part

    def join_samples(self, key: str, name: str) -> None:
        """Join the parts of a task, in doc order."""
        parts = self._parts(key) if self.folder is not None else None
        if self.folder is None or parts is None or not parts.is_dir():
            return
        target = self.folder / f"samples_{file_name(name)}_{self._stamp}.jsonl"
        with target.open("ab") as out, ExitStack() as opened:
            places: list[tuple[int, Iterator[bytes]]] = []
            for name_of_part, (docs, sizes) in self._lines.pop(key, {}).items():
                # Each is read from its begin to its end: the docs of a part are in doc order.
                lines = map(opened.enter_context((parts / name_of_part).open("rb")).read, sizes)
                places += [(doc, lines) for doc in docs]
            places.sort(key=itemgetter(0))
            out.writelines(next(left) for _, left in places)
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


def sample_lines(samples: Iterable[Sample]) -> SampleLines:
    """Return samples as the lines that ``ResultFiles`` writes of them."""
    # Deferred: a run without an output folder writes no JSON.
    from pytest_lmmeval.reports.json_text import json_line

    whole, ends = bytearray(), array("Q", [0])
    for sample in samples:
        for row in sample_rows(sample):
            whole += json_line(row)
        ends.append(len(whole))
    return SampleLines(bytes(whole), array("Q", map(sub, ends[1:], ends)))


def file_name(text: str) -> str:
    """Return a name that every file system takes, also between others and with an ending."""
    name = re.sub(r"[^\w.@+=-]+", "__", text).strip("_") or "model"
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore") + f"_{digest}"
