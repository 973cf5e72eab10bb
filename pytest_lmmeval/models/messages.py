"""The prompt of a request as messages, whatever form the task gave it."""

from __future__ import annotations

from pytest_lmmeval.records import ImagePart, Instance, Message, TextPart


def messages_of(request: Instance) -> tuple[Message, ...]:
    """Return the request's messages; a plain prompt is one of the user."""
    if isinstance(request.context, str):
        return (Message("user", (TextPart(request.context),)),)
    return request.context


def has_images(request: Instance) -> bool:
    """Whether a message of the request holds an image."""
    return any(
        isinstance(part, ImagePart) for message in messages_of(request) for part in message.content
    )
