"""Whether an endpoint reads images: with one attached, ``prompt_tokens`` must grow."""

from __future__ import annotations

from typing import Any

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.probe_requests import Ask, generation
from pytest_lmmeval.records import ImagePart, Message, Part, TextPart

QUESTION = "What is in the picture?"
_LONGER = "Say it in one word, and leave out all that is not needed to understand it."
# Large enough for any model's smallest patch, small enough to cost nothing.
_SIZE = (224, 224)


async def find_image_fault(model: Any, ask: Ask) -> str | None:
    """Return what an endpoint does wrong with an image; None if it reads it or cannot be told.

    Args:
        model: The model, which is not needed here.
        ask: Asks it once.
    """
    from PIL import Image  # deferred: only tasks with images need it

    image = Image.new("RGB", _SIZE, "red")
    try:
        # First, so that a server that does not count what it has cached counts all of it.
        seen = await _prompt_tokens(ask, ImagePart(image), TextPart(QUESTION))
    except RequestError as error:
        return f"refuses images: {error.message}"
    try:
        blind = await _prompt_tokens(ask, TextPart(QUESTION))
        longer = await _prompt_tokens(ask, TextPart(f"{QUESTION} {_LONGER}"))
    except RequestError:
        return None  # it wants an image with every question
    if seen is None or blind is None or longer is None or seen > blind:
        return None
    if longer <= blind:
        return None  # its counts do not depend on what is asked, so they tell nothing
    return (
        f"drops images: a question has {seen} prompt tokens with an image attached and {blind} "
        "without"
    )


async def _prompt_tokens(ask: Ask, *parts: Part) -> int | None:
    response, _ = await ask(generation((Message("user", parts),), max_tokens=16))
    return response.usage.get("prompt_tokens")
