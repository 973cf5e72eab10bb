"""What lmms-eval's aggregations get that take its command line as ``args``.

Most of them write a file that is to be handed in somewhere, below ``args.output_path``. They shall
write it when the docs of a run are aggregated and not when a gate aggregates resamples of them, and
never into the working directory, which is where they write without a path.
"""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from pytest_lmmeval.warnings import LmmWarning


@dataclass(frozen=True, slots=True)
class Submissions:
    """Where a task's files for submission go.

    Attributes:
        task: Name of the task.
        model: Name of the model.
        folder: The run's folder for results; None keeps no file.
    """

    task: str
    model: str = ""
    folder: Path | None = None

    @contextlib.contextmanager
    def command_line(self, *, final: bool) -> Iterator[SimpleNamespace]:
        """Give the arguments of lmms-eval's command line that aggregations look at.

        Args:
            final: Whether the aggregation is over the docs of the run, so that its file is wanted.
        """
        if final and self.folder is not None:
            yield self._arguments(self.folder.resolve())
            return
        with tempfile.TemporaryDirectory(prefix="lmm-submissions-") as scratch:
            yield self._arguments(Path(scratch))
            if final and any(path.is_file() for path in Path(scratch).rglob("*")):
                message = f"task {self.task!r} writes a file for submission, which is not kept; "
                warnings.warn(LmmWarning(message + "--lmm-output-path keeps it"), stacklevel=2)

    def _arguments(self, folder: Path) -> SimpleNamespace:
        """Return what the options of lmms-eval are, its defaults where we have no such thing."""
        return SimpleNamespace(
            output_path=str(folder),
            tasks=self.task,
            model=self.model,
            model_args="",
            gen_kwargs="",
            batch_size=1,
            device=None,
            include_path=None,
            limit=None,
            log_samples=True,
            log_samples_suffix="model_outputs",
            num_fewshot=None,
            predict_only=False,
            process_with_media=False,
            seed=[0, 1234, 1234, 1234],
            timezone="Asia/Singapore",
            verbosity="INFO",
            wandb_args="",
        )
