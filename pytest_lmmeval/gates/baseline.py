"""What an accepted run measured.

A baseline lives in git, one file per task and variant, and holds the score of every doc, so that
the next run is compared doc by doc. ``baseline_file`` reads and writes it; ``staleness`` tells
whether a run can be compared with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeAlias

from pytest_lmmeval.errors import BaselineError
from pytest_lmmeval.gates.item_packing import pack_items, unpack_items
from pytest_lmmeval.gates.packing import max_error, pack, unpack
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.statistics import design_effect
from pytest_lmmeval.records import JSON

ScoreKind: TypeAlias = Literal["binary", "counts", "continuous", "items", "aggregate"]


@dataclass(frozen=True, slots=True)
class BaselineKey:
    """What a baseline belongs to.

    Attributes:
        task: Name of the task.
        variant: Name of what is tested: a model, a quantisation, a piece of hardware.
        suite: Name of the suite that wrote it; for the reader only.
    """

    task: str
    variant: str = "default"
    suite: str | None = None


@dataclass(frozen=True, slots=True)
class BaselineDocs:
    """The docs that were asked; all fields must agree for a comparison.

    Attributes:
        ids: Doc ids in ascending order.
        data_sha256: Digest of the docs, media included (``combined_sha256`` of their hashes).
        prompt_sha256: Digest of all requests.
        target_sha256: Digest of the right answers.
        task_version: The version that the task's YAML states.
        scorer_version: The version of the code that turns answers into scores.
    """

    ids: Sequence[int]
    data_sha256: str | None = None
    prompt_sha256: str | None = None
    target_sha256: str | None = None
    task_version: str | None = None
    scorer_version: str | None = None


@dataclass(frozen=True, slots=True)
class BaselineRun:
    """How the docs were asked, and who answered (``staleness`` says what is compared).

    Attributes:
        dialect: Whose rules prompts and scores follow ("lm_eval" or "lmms_eval").
        message_format: How requests reach the model ("simple" or "chat").
        num_fewshot: Number of examples before each question.
        gen_kwargs: Generation arguments as sent.
        chat_template_sha256: Digest of the chat template, where it is applied by us.
        settings: Whatever else changes questions or scores, by option name.
        model: The model's identity as it reports it.
        versions: Versions of engine and libraries by name.
        hardware: What the model ran on.
        limit: The limit that was given; the docs that it selected are compared.
    """

    dialect: str | None = None
    message_format: str | None = None
    num_fewshot: int | None = None
    gen_kwargs: Mapping[str, JSON] = field(default_factory=dict)
    chat_template_sha256: str | None = None
    settings: Mapping[str, JSON] = field(default_factory=dict)
    model: Mapping[str, JSON] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: str | None = None
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class BaselineMetric:
    """One metric of the accepted run.

    Attributes:
        value: The aggregate.
        stderr: Its standard error, if it has one.
        higher_is_better: The metric's direction.
        kind: What the scores are; "items" where what a doc brings to the metric is no number, and
            "aggregate" where it cannot be stored either.
        doc_ids: The docs that the metric is made of, in ascending order.
        packed: Their scores (see ``packing``); None for kind "aggregate".
        runs: How many runs each score is the mean of.
        churn: Share of docs that changed between runs of the same model, if it was measured.
        change_sd: Standard deviation of a doc's change between two such runs.
        run_sd: Standard deviation of the value over such runs.
        design_effect: How much larger the variance of a mean is because docs of a cluster go
            together: that of changes between runs if it was measured, else that of the scores. None
            if docs are independent.
    """

    value: float
    stderr: float | None
    higher_is_better: bool
    kind: ScoreKind
    doc_ids: Sequence[int]
    packed: str | None
    runs: int = 1
    churn: float | None = None
    change_sd: float | None = None
    run_sd: float | None = None
    design_effect: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether it holds one number per doc."""
        return self.packed is not None and self.kind != "items"

    def scores(self) -> tuple[Any, ...]:
        """Return the scores in the order of ``doc_ids``; empty for kind "aggregate"."""
        if self.packed is None:
            return ()
        if self.kind == "items":
            return unpack_items(self.packed, len(self.doc_ids))
        return unpack(self.packed, len(self.doc_ids), runs=self.runs)

    @property
    def max_error(self) -> float:
        """By how much a score can be off, because the file rounds continuous scores."""
        return 0.0 if self.packed is None else max_error(self.packed)

    @classmethod
    def from_scores(
        cls, measured: MetricScores, *, runs: int = 1, churn: float | None = None
    ) -> BaselineMetric:
        """Accept what a run measured, without the docs that are too long for the model.

        Raises:
            BaselineError: Docs failed, or a score or the value is missing or not finite.
        """
        where = f"{measured.task} {measured.key}"
        if measured.n_failed:
            raise BaselineError(
                f"{where}: {measured.n_failed} of {measured.n} docs failed; "
                "only a run in which every doc was answered can become a baseline"
            )
        measured = measured.without_too_long()
        if measured.n == 0 or measured.value is None or not math.isfinite(measured.value):
            raise BaselineError(f"{where}: {measured.value} over {measured.n} docs is no baseline")
        if measured.not_finite:
            raise BaselineError(f"{where}: the score of doc {measured.not_finite[0]} is not finite")
        packed: str | None
        if measured.numeric:
            scores = [score for _, score in sorted(measured.answered().items())]
            packed = pack(scores, runs=runs)
        else:
            packed = pack_items([score for _, score in sorted(measured.items().items())])
        return cls(
            value=float(measured.value),
            stderr=measured.stderr,
            higher_is_better=measured.higher_is_better,
            kind=score_kind(packed),
            doc_ids=tuple(sorted(measured.doc_ids)),
            packed=packed,
            runs=runs,
            churn=churn,
            design_effect=_design_effect(measured),
        )


@dataclass(frozen=True, slots=True)
class BaselineQuality:
    """How many docs of the accepted run had which trouble."""

    failed: int = 0
    truncated: int = 0
    unparsed: int = 0


@dataclass(frozen=True, slots=True)
class BaselineOrigin:
    """Who accepted the run and why.

    Attributes:
        date: ISO date, in UTC.
        reason: Why these values are accepted.
        commit: Commit of the code under test.
        previous: The metrics' values in the baseline that this one replaces.
    """

    date: str | None = None
    reason: str | None = None
    commit: str | None = None
    previous: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """One baseline file.

    Attributes:
        side: What was measured beside the scores, by name (see the module ``side``).
    """

    key: BaselineKey
    docs: BaselineDocs
    run: BaselineRun
    metrics: Mapping[str, BaselineMetric] = field(default_factory=dict)
    side: Mapping[str, float] = field(default_factory=dict)
    quality: BaselineQuality = field(default_factory=BaselineQuality)
    by: BaselineOrigin = field(default_factory=BaselineOrigin)


def _design_effect(measured: MetricScores) -> float | None:
    """Return the design effect of a run's scores; None for independent docs."""
    clusters = measured.known_clusters()
    if clusters is None or not measured.numeric:
        return None
    scores = measured.answered()
    return round(design_effect(list(scores.values()), [clusters[doc] for doc in scores]), 3)


def ids_sha256(ids: Sequence[int]) -> str:
    """Return the SHA-256 of the ids, written in decimal with commas between them."""
    return hashlib.sha256(",".join(map(str, ids)).encode("ascii")).hexdigest()


def combined_sha256(hashes: Iterable[str]) -> str:
    """Return one SHA-256 for the hashes of all docs, given in ascending order of their ids."""
    whole, left, between = hashlib.sha256(), iter(hashes), ""
    # Some at a time: together those of a million docs would be 64 MB.
    while some := list(islice(left, 1000)):
        whole.update((between + "\n".join(some)).encode())
        between = "\n"
    return whole.hexdigest()


def score_kind(packed: str | None) -> ScoreKind:
    """Return what kind of scores a packed text holds."""
    if packed is None:
        return "aggregate"
    if packed.startswith("j"):
        return "items"
    if packed.startswith("b"):
        return "binary" if packed.startswith("b1:") else "counts"
    return "continuous"
