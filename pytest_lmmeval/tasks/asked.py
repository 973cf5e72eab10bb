"""What is kept of a doc's requests once they are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.records import AudioPart, ImagePart, Instance, Message, Part, TextPart
from pytest_lmmeval.tasks.values import URLS, digest, image_digest, media_digest, plain_digest


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sample keeps of a doc's requests: no media, only their digests.

    Attributes:
        arguments: Per instance what was asked: its context, and its generation arguments or its
            continuation. An instance with the context of the one before it leaves it out, if it has
            a continuation: the choices of one question share a long prompt.
        prompt_hash: SHA-256 of ``arguments`` without the generation arguments, which a baseline
            compares by themselves.
        doc_hash: SHA-256 of the doc, of its media, and of media files that it only names.
    """

    arguments: tuple[Any, ...]
    prompt_hash: str
    doc_hash: str


def remember(
    instances: Sequence[Instance], raw: Mapping[str, Any], gen_kwargs: Mapping[str, Any]
) -> Asked:
    """Return what is kept of a doc's requests.

    Args:
        instances: The requests.
        raw: The doc with its media as they are stored.
        gen_kwargs: The generation arguments of the task's requests, as ``plain`` returns them.

    Raises:
        RequestError: A file of media cannot be read.
    """
    files: dict[str, str] = {}
    try:
        questions, arguments = _asked(instances, gen_kwargs, files)
        # A path differs from machine to machine; what the file shows does not.
        shown = [raw, sorted(files.values())] if files else raw
        doc_hash = digest(shown, files)
    except OSError as error:
        raise _unreadable(error) from error
    return Asked(tuple(arguments), plain_digest(questions), doc_hash)


def remember_more(
    asked: Asked, instances: Sequence[Instance], gen_kwargs: Mapping[str, Any]
) -> Asked:
    """Add the requests of a later round to what is kept.

    ``prompt_hash`` stays that of the first: later ones follow from the answers, and other answers
    must not look like another question.

    Raises:
        RequestError: A file of media cannot be read.
    """
    try:
        _, more = _asked(instances, gen_kwargs, {})
    except OSError as error:
        raise _unreadable(error) from error
    return replace(asked, arguments=(*asked.arguments, *more))


def _unreadable(error: OSError) -> RequestError:
    name = error.filename or "a file"
    return RequestError("media", f"{name} cannot be read: {error.strerror or error}")


def _asked(
    instances: Sequence[Instance], gen_kwargs: Mapping[str, Any], files: dict[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the arguments of instances without the generation arguments, and with them."""
    questions: list[dict[str, Any]] = []
    arguments: list[dict[str, Any]] = []
    last: Any = None
    for instance in instances:
        # Repeats and choices share their context, and hashing its images is the work here.
        new = instance.context is not last
        if new:
            last = instance.context
            context = _plain_context(last, files)
        if instance.request_type == "generate_until":
            questions.append({"context": context})
            arguments.append({"context": context, "gen_kwargs": gen_kwargs})
            continue
        question = {"context": context} if new else {}
        if instance.request_type == "loglikelihood":
            question["continuation"] = instance.continuation
        questions.append(question)
        arguments.append(question)
    return questions, arguments


def _plain_context(context: str | tuple[Message, ...], files: dict[str, str]) -> Any:
    if isinstance(context, str):
        return context
    return [
        {"role": message.role, "content": [_plain_part(part, files) for part in message.content]}
        for message in context
    ]


def _plain_part(part: Part, files: dict[str, str]) -> dict[str, str]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        in_file = isinstance(part.image, str)
        shown = _digest(part.image, files) if in_file else image_digest(part)
        return {"type": "image", "sha256": shown}
    if isinstance(part, AudioPart):
        return {"type": "audio", "sha256": _digest(part.audio, files)}
    times = {"start": part.start, "end": part.end}
    named = {name: f"{seconds:g}" for name, seconds in times.items() if seconds is not None}
    return {"type": "video", "sha256": _digest(part.video, files), **named}


def _digest(media: Any, files: dict[str, str]) -> str:
    if not isinstance(media, str) or media.startswith(URLS):
        return media_digest(media)
    if media not in files:
        files[media] = media_digest(media)
    return files[media]
