"""Requests to models, and how to put them without a pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.records import ImagePart, Instance, Message, Response, TextPart


def request(
    *parts: Any,
    doc_id: int = 0,
    gen_kwargs: Mapping[str, Any] | None = None,
    dialect: Literal["lm_eval", "lmms_eval"] = "lm_eval",
    repeat: int = 0,
) -> Instance:
    """Return a generation request with one user message; what is neither text nor part is an image.

    An image may also be given as ``ImagePart``, as its path must be if it is a text.
    """
    content = tuple(
        part
        if isinstance(part, (TextPart, ImagePart))
        else (TextPart(part) if isinstance(part, str) else ImagePart(part))
        for part in parts
    )
    return Instance(
        task="task",
        doc_id=doc_id,
        idx=0,
        request_type="generate_until",
        context=(Message("user", content),),
        gen_kwargs=gen_kwargs or {},
        repeat=repeat,
        dialect=dialect,
    )


def ask(model: AsyncLM, *requests: Instance) -> list[Response]:
    """Start ``model``, put all ``requests`` at once, and close it."""

    async def run() -> list[Response]:
        try:
            await model.astart()
            return await asyncio.gather(*(model.respond(r) for r in requests))
        finally:
            await model.aclose()

    return asyncio.run(run())
