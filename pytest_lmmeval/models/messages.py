"""The prompt of a request as messages, whatever form the task gave it."""

from __future__ import annotations

from dataclasses import replace

from pytest_lmmeval.records import Instance, Message, TextPart


def messages_of(request: Instance) -> tuple[Message, ...]:
    """Return the request's messages; a plain prompt is one of the user."""
    if isinstance(request.context, str):
        return (Message("user", (TextPart(request.context),)),)
    return request.context


def has_media(request: Instance) -> bool:
    """Whether a message of the request holds an image, a video or a sound."""
    if isinstance(request.context, str):
        return False
    for message in request.context:
        for part in message.content:
            if not isinstance(part, TextPart):
                return True
    return False


def without_media(request: Instance) -> Instance:
    """Return the request with the text of its messages alone, which is all that an answer needs."""
    if not has_media(request):
        return request
    assert not isinstance(request.context, str), "a text has no media"
    texts = [[part for part in m.content if isinstance(part, TextPart)] for m in request.context]
    messages = (replace(m, content=tuple(t)) for m, t in zip(request.context, texts, strict=True))
    return replace(request, context=tuple(messages))
