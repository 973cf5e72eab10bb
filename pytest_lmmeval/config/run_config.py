"""The one frozen ``RunConfig`` that options, ini keys and suites become.

This module needs nothing but the standard library, because it is imported in every pytest run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pytest_lmmeval.errors import UsageError

Peer: TypeAlias = Literal["lm_eval", "lmms_eval"]


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What the user asked for, after options, ini keys and defaults are merged.

    Attributes:
        model: Registered name of the model under test.
        model_args: Its arguments as ``key=value,…``.
        judge_model: Registered name of the model that scores answers of tasks with a judge.
        judge_model_args: Its arguments as ``key=value,…``.
        tasks: Names, groups, tags, globs or paths of tasks.
        include_path: Folders to look for task YAMLs in, beside the library.
        num_fewshot: Number of shots; None leaves the task's own.
        gen_kwargs: Generation arguments laid over each task's own.
        batch_size: Requests per call of an in-process model; None leaves the model's own.
        max_batch_size: Upper bound for an automatic batch size.
        device: Device of an in-process model.
        limit: Number of docs per task, or a share of them if below 1.
        limit_from: Whether ``limit`` takes a seeded random sample or the first docs; None is a
            sample, under parity the first docs.
        samples: Doc ids to evaluate, by task name.
        metadata: Laid over each task's ``metadata``, for data that a function of the task makes.
        output_path: Where results files go; None writes none.
        log_samples: Whether samples are written beside the results.
        seed: lm-eval's four seeds: Python, NumPy, torch, few-shot sampling. The first three are
            recorded and change nothing, because a task's own code is seeded per doc; under parity
            Python's and NumPy's are where scoring begins.
        system_instruction: System message put before every prompt.
        apply_chat_template: Whether plain prompts of a local model go through its chat template,
            or the template's name.
        fewshot_as_multiturn: Whether shots become turns of a chat.
        data_map: Local folders that stand for data sets, by hub name.
        message_format: lmms-eval's "simple" or "chat"; None leaves it to the model.
        no_fuse: Whether every task is measured to its end, however it goes.
        progress: How progress is shown: ``auto``, ``live``, ``log``, ``log:SECONDS`` or ``off``.
        show_config: Whether the configuration of the run and its tasks is shown at the end.
        resume: Whether answers count that earlier runs had when they were broken off.
        use_cache: The file in which answers are kept for good, and found again; True is one in the
            project's folder, None or False keeps them for a crash only.
        cache_requests: lm-eval's option, without effect.
        replay: The file whose answers are scored again, without a model; True is that of
            ``use_cache``, or the journal of a run that was broken off.
        predict_only: Whether answers are written and nothing is scored.
        root: The project's folder, where baselines lie that nothing else places.
        baseline_dir: Where baselines lie; None leaves them in ``lmm-baselines`` of the project, or
            beside their suite.
        variant: Key under which baselines of this set-up are kept.
        profile: The profile that gates take their defaults from; None is that of the suite, or pr.
        calibrate: How often everything is run to measure its noise; None judges a single run.
        update_baseline: Glob of ``task::metric,filter`` whose baselines are written, or None.
        update_reason: Why, kept in the baseline.
        early_stop: What may end gates early whose rule can have it; None leaves it to the rules.
        max_failed: Share of docs that may fail before parts and gates do; None leaves the
            defaults, which are none for a part and the rule's own for a gate.
        trust_remote_code: Whether code from a hub repository may run.
        confirm_run_unsafe_code: Whether tasks marked ``unsafe_code`` may run.
        parity: The peer whose number is wanted as that tool prints it, without what is done better
            here on purpose; it also decides the dialect.
        dialect: Whose rules all tasks follow; None leaves it to each task.
        strict: Whether a gate without baseline, or a task that the model cannot be asked, is an
            error wherever it comes from.
        by_command_line: Fields that the command line gave, which a suite must leave alone.
    """

    model: str | None = None
    model_args: str = field(default="", repr=False)  # may hold a key
    judge_model: str | None = None
    judge_model_args: str = field(default="", repr=False)  # may hold a key
    tasks: tuple[str | Path, ...] = ()
    include_path: tuple[Path, ...] = ()
    num_fewshot: int | None = None
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | str | None = None
    max_batch_size: int | None = None
    device: str | None = None
    limit: float | None = None
    limit_from: Literal["random", "first"] | None = None
    samples: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold a key
    output_path: Path | None = None
    log_samples: bool = True
    seed: tuple[int | None, int | None, int | None, int | None] = (0, 1234, 1234, 1234)
    system_instruction: str | None = None
    apply_chat_template: bool | str = False
    fewshot_as_multiturn: bool = True
    data_map: Mapping[str, Path] = field(default_factory=dict)
    message_format: Literal["simple", "chat"] | None = None
    root: Path = Path()
    baseline_dir: Path | None = None
    variant: str = "default"
    profile: str | None = None
    calibrate: int | None = None
    update_baseline: str | None = None
    update_reason: str | None = None
    early_stop: Literal["fuse", "sequential"] | None = None
    max_failed: float | None = None
    trust_remote_code: bool = False
    confirm_run_unsafe_code: bool = False
    parity: Peer | None = None
    dialect: Peer | None = None
    strict: bool = False
    progress: str = "auto"
    show_config: bool = False
    no_fuse: bool = False
    resume: bool = False
    use_cache: bool | Path | None = None
    cache_requests: bool | str = False
    replay: bool | Path | None = None
    predict_only: bool = False
    by_command_line: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse settings that exclude each other.

        Raises:
            UsageError: The number of one peer is wanted by the rules of the other.
        """
        if self.parity and self.dialect and self.parity != self.dialect:
            raise UsageError(
                f"parity={self.parity} follows the rules of {self.parity}, but "
                f"dialect={self.dialect} asks for others; leave one of them out"
            )

    @property
    def chat_template(self) -> str | None:
        """The name of the chat template to apply, if one was named."""
        named = self.apply_chat_template
        return named if isinstance(named, str) else None

    @property
    def writes_samples(self) -> bool:
        """Whether a file of samples is written."""
        return self.output_path is not None and self.log_samples

    @property
    def forced_dialect(self) -> Peer | None:
        """The dialect that all tasks shall follow; None leaves it to each task."""
        return self.dialect or self.parity
