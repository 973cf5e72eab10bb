"""The requests of a doc, and what a sample keeps of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.records import ImagePart, Instance, Message, Part, RequestType, TextPart
from pytest_lmmeval.tasks.config import TaskConfig
from pytest_lmmeval.tasks.values import digest, media_digest, plain

# The types whose requests can be built and scored. Each has one request per doc.
SUPPORTED = ("generate_until",)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a sample keeps of a doc's requests: no media, only their digests.

    Attributes:
        arguments: Per instance, its context and generation arguments.
        prompt_hash: SHA-256 of ``arguments``.
        doc_hash: SHA-256 of the doc, of its media, and of media files that it only names.
    """

    arguments: tuple[Any, ...]
    prompt_hash: str
    doc_hash: str


def generation_kwargs(
    config: TaskConfig, model: Mapping[str, Any] | None, run: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a task's generation arguments: its own, then the model's, then the run's."""
    return copy.deepcopy({**config.generation_kwargs, **(model or {}), **run})


def build_instances(
    config: TaskConfig,
    doc_id: int,
    context: str | tuple[Message, ...],
    gen_kwargs: Mapping[str, Any],
) -> list[Instance]:
    """Return a doc's requests, one per repeat."""
    return [
        Instance(
            task=config.task,
            doc_id=doc_id,
            idx=0,
            request_type=cast("RequestType", config.output_type),
            context=context,
            gen_kwargs=gen_kwargs,
            repeat=repeat,
            dialect=config.dialect,
        )
        for repeat in range(config.repeats)
    ]


def remember(instances: list[Instance], raw: Mapping[str, Any]) -> Asked:
    """Return what is kept of a doc's requests.

    Args:
        instances: The requests.
        raw: The doc with its media as they are stored.

    Raises:
        RequestError: An image file cannot be read.
    """
    files: dict[str, str] = {}
    try:
        # All repeats ask the same.
        context = _plain_context(instances[0].context, files)
        arguments = [{"context": context, "gen_kwargs": plain(i.gen_kwargs)} for i in instances]
        # A path differs from machine to machine; what the file shows does not.
        shown = [raw, sorted(files.values())] if files else raw
        return Asked(tuple(arguments), digest(arguments), digest(shown, files))
    except OSError as error:
        name = error.filename or "an image"
        raise RequestError("media", f"{name} cannot be read: {error.strerror or error}") from error


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
    return {"type": "image", "sha256": _image_digest(part, files)}


def _image_digest(part: ImagePart, files: dict[str, str]) -> str:
    if not isinstance(part.image, str):
        return media_digest(part.image)
    if part.image not in files:
        files[part.image] = media_digest(part.image)
    return files[part.image]
