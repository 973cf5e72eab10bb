"""What a request asks, as a digest: its prompt, its media, and the generation arguments.

Two requests with one digest ask the same of a model, whichever docs and tasks they belong to. What
likelihoods are shared by, and what the journal finds answers by, is this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_lmmeval.records import AudioPart, ImagePart, Instance, Message, Part, TextPart
from pytest_lmmeval.tasks.values import image_digest, media_digest


def request_digests(instances: Sequence[Instance]) -> list[bytes]:
    """Return the digest of each request, 16 bytes.

    Args:
        instances: The requests of one doc.

    Raises:
        OSError: A file of media cannot be read.
    """
    digests: list[bytes] = []
    context: object = None
    asked = hashlib.blake2b(digest_size=16)
    for instance in instances:
        if instance.context is not context:
            # The choices of one question share a long prompt.
            context = instance.context
            asked = hashlib.blake2b(_bytes(_of_context(instance.context)), digest_size=16)
        own = asked.copy()
        own.update(_bytes(_told(instance.continuation) + _of_settings(instance)))
        digests.append(own.digest())
    return digests


# What was told last: all requests of a task have one mapping.
_last: tuple[Mapping[str, Any], tuple[str, str], str] | None = None


def _of_settings(instance: Instance) -> str:
    global _last
    given, by, last = instance.gen_kwargs, (instance.request_type, instance.dialect), _last
    if last is not None and last[0] is given and last[1] == by:
        return last[2]
    told = "".join(map(_told, (*by, str(sorted(given.items())))))
    _last = (given, by, told)
    return told


def _of_context(context: str | tuple[Message, ...]) -> str:
    if isinstance(context, str):
        return _told(context)
    told = ""
    for message in context:
        told += _told(message.role) + _told(str(len(message.content)))
        for part in message.content:
            told += _told(_shown(part))
    return told


def _shown(part: Part) -> str:
    if isinstance(part, TextPart):
        return f"text {part.text}"
    if isinstance(part, ImagePart):
        return f"image {image_digest(part)}"
    if isinstance(part, AudioPart):
        return f"audio {media_digest(part.audio)}"
    return f"video {media_digest(part.video)} {part.start} {part.end}"


def _told(text: str) -> str:
    # With its length in bytes, so that no two lists of texts run into the same bytes.
    return f"{len(text) if text.isascii() else len(_bytes(text))}:{text}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
