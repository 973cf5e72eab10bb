"""The values that travel from a task to a verdict.

Instance (a request) → Response → Sample (one doc) → MetricResult → Verdict. None is ever changed.
This module imports nothing of ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, TypeAlias, TypeVar, dataclass_transform

RequestType: TypeAlias = Literal[
    "generate_until", "loglikelihood", "loglikelihood_rolling", "generate_until_multi_round"
]
FailureKind: TypeAlias = Literal[
    "connection",
    "timeout",
    "rate_limit",
    "server",
    "client",
    "auth",
    "invalid_response",
    "media",
    "model",
]
Outcome: TypeAlias = Literal["scored", "failed", "truncated", "unparsed"]
VerdictOutcome: TypeAlias = Literal["PASS", "FAIL", "UNDECIDED", "ERROR", "VOID"]
JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def _record(cls: type[T]) -> type[T]:
    """Make a dataclass that is frozen for type checkers.

    At run time it is not, because then it would take four times as long to make one: 3 % of the
    CPU time of a run of short requests, each of which makes half a dozen.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_record
class TextPart:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a message.

    Attributes:
        image: A ``PIL.Image.Image``, the path of a file, or the encoded bytes of one.
        sent: What was made of it, for requests that share it: its digest (``"sha256"``), and what
            models send, by their settings.
        name: What messages call it, if the data set has a name for it.
    """

    image: Any
    sent: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A video in a message.

    Attributes:
        video: The path of a file, its URL, or its bytes.
        start: Where what is shown begins, in seconds; None is the video's beginning.
        end: Where it ends, in seconds; None is the video's end.
    """

    video: str | bytes
    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class AudioPart:
    """A sound in a message.

    Attributes:
        audio: The path of a file, the bytes of one, or its samples: a mapping with ``array``
            (samples, or channels and samples, from -1 to 1) and ``sampling_rate`` (in Hz).
    """

    audio: Any


Part: TypeAlias = TextPart | ImagePart | VideoPart | AudioPart


@_record
class Message:
    """One turn of a conversation: a role and its content parts, in order."""

    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text of all text parts, joined without a separator."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


@_record
class Instance:
    """One request to the model for one doc.

    Attributes:
        task: Name of the task.
        doc_id: Index of the doc in the evaluated split.
        idx: Index of this request among those of the doc (one per choice, for example).
        request_type: What is asked of the model.
        context: A plain prompt, or the messages of a chat.
        continuation: The text whose likelihood is asked for (loglikelihood only).
        gen_kwargs: The task's generation arguments as written in its YAML (generate_until only).
        repeat: Which of the task's ``repeats`` this is, from 0.
        dialect: Whose rules apply to ``gen_kwargs``: "lm_eval" or "lmms_eval".
    """

    task: str
    doc_id: int
    idx: int
    request_type: RequestType
    context: str | tuple[Message, ...]
    continuation: str = ""
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    repeat: int = 0
    dialect: Literal["lm_eval", "lmms_eval"] = "lm_eval"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gave no answer, after all retries."""

    kind: FailureKind
    message: str


@_record
class Response:
    """What came back for one request: an answer or a failure, never both.

    Attributes:
        text: The generated text.
        logprob: Sum of the continuation's token log-probabilities, in nats.
        is_greedy: Whether every token of the continuation was the most likely one.
        finish_reason: Why generation ended, as the model reported it ("stop", "length", …).
        usage: Token counts as the model reported them (``prompt_tokens``, ``completion_tokens``).
        latency: Seconds from sending the last attempt to the end of its answer.
        attempts: How often the request was sent.
        reasoning: Reasoning text that the server returned beside the answer.
        failure: Set when there is no answer.
        shared: Whether the answer is that of an identical request; then nothing was sent, and
            ``usage``, ``latency`` and ``attempts`` are empty.
        truncated: How many tokens the prompt had beyond the model's context, if any. They were left
            out at its start; or, if there is no answer either, the request was not put.
        resized: How many of the request's images were made smaller than they are.
        recalled: Whether nothing was sent, because the journal had the answer; then the other
            fields say what they said when it came.
    """

    text: str | None = None
    logprob: float | None = None
    is_greedy: bool | None = None
    finish_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    latency: float = 0.0
    attempts: int = 1
    reasoning: str | None = None
    failure: Failure | None = None
    shared: bool = False
    truncated: int | None = None
    resized: int = 0
    recalled: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to score."""
        return self.failure is None and (self.text is not None or self.logprob is not None)

    def to_builtins(self) -> dict[str, Any]:
        """Return the response as builtin types, without its empty fields."""
        given = zip(_RESPONSE_FIELDS, _response_values(self), strict=True)
        values: dict[str, Any] = {name: value for name, value in given if value is not None}
        values["usage"] = dict(self.usage)
        if self.failure is not None:
            values["failure"] = {"kind": self.failure.kind, "message": self.failure.message}
        for name in ("usage", "shared", "resized", "recalled"):
            if not values[name]:
                del values[name]
        return values

    @classmethod
    def from_builtins(cls, values: Mapping[str, Any]) -> Response:
        """Rebuild a response from what ``to_builtins`` returned."""
        failure = values.get("failure")
        return cls(**{**values, "failure": Failure(**failure) if failure else None})


_RESPONSE_FIELDS = tuple(f.name for f in dataclasses.fields(Response))
_response_values = attrgetter(*_RESPONSE_FIELDS)


@_record
class Sample:
    """One doc after filters and metrics.

    Attributes:
        doc_id: Index of the doc in the evaluated split.
        outcome: ``failed`` when a request gave no answer (``scores`` is then empty); ``truncated``
            when a response was cut at its token limit; ``unparsed`` when no filter found an answer
            in it; else ``scored``. A wrong answer is ``scored``.
        scores: What each metric takes into its aggregation, by ``"metric,filter"``.
        responses: One per instance, in order.
        filtered: Per filter, its result for each instance.
        target: The right answer, as text.
        doc: The doc without its media columns.
        arguments: Per instance what was asked, with media replaced by their digests.
        doc_hash: SHA-256 of the doc, media included.
        prompt_hash: SHA-256 of all requests.
        target_hash: SHA-256 of the target.
        cluster: The doc's value of the task's ``cluster_key``, if it has one.
        unparsed: Names of the filters that found no answer.
    """

    doc_id: int
    outcome: Outcome
    scores: Mapping[str, Any]
    responses: tuple[Response, ...]
    filtered: Mapping[str, Sequence[Any]]
    target: str
    doc: Mapping[str, Any]
    arguments: Sequence[Any]
    doc_hash: str
    prompt_hash: str
    target_hash: str
    cluster: str | None = None
    unparsed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """How many docs of a task ended in which outcome; their sum is the number of docs."""

    scored: int = 0
    failed: int = 0
    truncated: int = 0
    unparsed: int = 0

    @property
    def total(self) -> int:
        """All docs, whatever their outcome."""
        return self.scored + self.failed + self.truncated + self.unparsed


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric under one filter over a task.

    Attributes:
        task: Name of the task.
        metric: Name of the metric.
        filter: Name of the filter pipeline, "none" for the default one.
        value: The aggregate over the docs that were answered.
        stderr: Standard error of ``value``; None where the peers print "N/A".
        n: Number of docs in ``value``.
        higher_is_better: The metric's direction.
        counts: Outcomes of all docs, failed ones included.
    """

    task: str
    metric: str
    filter: str
    value: float
    stderr: float | None
    n: int
    higher_is_better: bool
    counts: OutcomeCounts

    @property
    def key(self) -> str:
        """``"metric,filter"``, as in lm-eval's results."""
        return f"{self.metric},{self.filter}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says about one metric result against its baseline.

    Values are in the metric's own units; ``delta`` is now minus baseline.

    Attributes:
        task: Name of the task.
        key: ``"metric,filter"``.
        outcome: PASS, FAIL, UNDECIDED or ERROR; VOID for a speed of answers that are wrong.
        reason: One line that says why, for the terminal, JUnit and annotations.
        value: What was measured now.
        stderr: Its standard error, if it has one.
        baseline: What the baseline holds.
        delta: Difference, by the paired docs.
        low: Lower end of the interval of ``delta``.
        high: Upper end of it.
        max_drop: The drop that the rule allows.
        must_detect: The drop that the rule must not miss.
        mde: Smallest true drop that this gate catches with 80 % power.
        level: Confidence level of the interval, two-sided; None where there is none.
        n: Docs compared.
        n_all: Docs that there are, where the task was stopped before all of them were asked.
        n_failed: Docs without an answer.
        n_truncated: Docs whose answer was cut.
        n_unparsed: Docs in whose answer no result was found.
        lost: Ids of docs that were right in the baseline and are wrong now.
        gained: Ids of docs that were wrong in the baseline and are right now.
        notes: Further lines for the reader (an improvement that can be locked in, for example).
        p_value: Of "nothing got worse", where the rule tolerates no drop; adjusted by Holm's
            procedure for the other such gates of the run.
    """

    task: str
    key: str
    outcome: VerdictOutcome
    reason: str
    value: float | None = None
    stderr: float | None = None
    baseline: float | None = None
    delta: float | None = None
    low: float | None = None
    high: float | None = None
    max_drop: float | None = None
    must_detect: float | None = None
    mde: float | None = None
    level: float | None = None
    n: int = 0
    n_all: int | None = None
    n_failed: int = 0
    n_truncated: int = 0
    n_unparsed: int = 0
    lost: tuple[int, ...] = ()
    gained: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    p_value: float | None = None
