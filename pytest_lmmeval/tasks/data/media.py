"""Images of a doc, as its task returns them, become parts of a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmmeval.records import ImagePart, Message, Part, TextPart
from pytest_lmmeval.tasks.prompts.fields import Field
from pytest_lmmeval.tasks.values import is_image, is_stored_media

_IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})
_PLACEHOLDER = "<image>"


def image_part(value: Any, field: Field, doc_id: int) -> ImagePart:
    """Return an image as a part.

    Args:
        value: A ``PIL.Image.Image``, the path of an image file, its bytes, or the mapping in which
            a data set stores either. A relative path is looked for beside the task's YAML
            first.
        field: The key that gave it, for messages and for where the YAML is.
        doc_id: The doc, for messages.

    Raises:
        TaskError: It is no image.
    """
    if is_stored_media(value):
        value = value["path"] if value["bytes"] is None else value["bytes"]
    if isinstance(value, str | Path):
        return ImagePart(_image_path(value, field, doc_id))
    if is_image(value) or isinstance(value, bytes):
        return ImagePart(value)
    kind = "audio or video" if isinstance(value, Mapping) else type(value).__name__
    raise field.error(f"gave {kind}; only images and paths of images are supported", doc_id)


def _image_path(value: str | Path, field: Field, doc_id: int) -> str:
    path = Path(value)
    if path.suffix.lower() not in _IMAGE_SUFFIXES:
        known = ", ".join(sorted(_IMAGE_SUFFIXES))
        message = f"gave {str(value)!r}; only images are supported, and their files end in {known}"
        raise field.error(message, doc_id)
    beside = field.config.source.parent / path
    return str(beside if beside.exists() else path)


def image_parts(value: Any, field: Field, doc_id: int) -> list[ImagePart]:
    """Return what a task gives as a doc's images, one or several or None, as parts."""
    if value is None:
        return []
    single = isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence)
    return [image_part(v, field, doc_id) for v in ([value] if single else value) if v is not None]


def images_first(images: Sequence[ImagePart], text: str) -> Message:
    """Return one user message: all images, then the text."""
    return Message("user", (*images, TextPart(text)))


def interleave(images: Sequence[ImagePart], text: str) -> Message:
    """Return one user message with each image in the place of an ``<image>`` in the text.

    All images come first if the text has another number of those.
    """
    pieces = text.split(_PLACEHOLDER)
    if len(pieces) != len(images) + 1:
        return images_first(images, text)
    parts: list[Part] = []
    for piece, image in zip(pieces, [*images, None], strict=True):
        parts += [TextPart(piece)] if piece else []
        parts += [image] if image is not None else []
    return Message("user", tuple(parts))


def read_messages(value: Any, field: Field, doc_id: int) -> tuple[Message, ...]:
    """Return what ``doc_to_messages`` gave as messages.

    Args:
        value: A list of ``{"role": …, "content": …}``, where content is text or a list of
            ``{"type": "text", "text": …}`` and ``{"type": "image", "url": …}``.
        field: The key, for messages.
        doc_id: The doc, for messages.

    Raises:
        TaskError: It is something else, or holds audio or video.
    """
    if not isinstance(value, list) or not value:
        raise field.error(f"gave {type(value).__name__}, expected a list of messages", doc_id)
    return tuple(_read_message(item, field, doc_id) for item in value)


def _read_message(item: Any, field: Field, doc_id: int) -> Message:
    role = item.get("role") if isinstance(item, Mapping) else None
    if role not in ("system", "user", "assistant"):
        message = f"gave a message of role {role!r}, expected system, user or assistant"
        raise field.error(message, doc_id)
    content = item.get("content")
    if isinstance(content, str):
        return Message(role, (TextPart(content),))
    if not isinstance(content, list):
        raise field.error(f"gave content {content!r}, expected text or a list of parts", doc_id)
    return Message(role, tuple(_read_part(part, field, doc_id) for part in content))


def _read_part(part: Any, field: Field, doc_id: int) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return TextPart(str(part["text"]))
    if kind == "image":
        return image_part(part.get("url", part.get("image")), field, doc_id)
    raise field.error(f"gave a part of type {kind!r}; only text and image are supported", doc_id)
