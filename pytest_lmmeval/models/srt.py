"""``srt_api``: a running SGLang server, asked as lmms-eval's model of that name asks it.

lmms-eval starts the server itself. Here a suite's ``server:`` section or the user does; arguments
that only a launch would use are named in a warning and have no effect.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.models.generation import Generation
from pytest_lmmeval.models.openai import OpenAIChat
from pytest_lmmeval.records import Instance, Response

_LAUNCH = "it belongs to the server's launch, and this model attaches to a running server"
_NO_VIDEO = "videos are not supported yet"


class SRT(OpenAIChat):
    """A model behind a running SGLang server.

    Args:
        model_version: The served model's name, by default the path it was launched with.
        model: Another name for it.
        host: The server's host.
        port: The server's port.
        base_url: Instead of host and port.
        modality: What the tasks hold beside text; it marks every image, as SGLang asks for.
        num_processes: lmms-eval's name for ``num_concurrent``.
        timeout: Seconds for each attempt.
        **settings: Those of ``OpenAIChat``.
    """

    message_format: Literal["simple", "chat"] = "simple"
    unused_arguments: ClassVar[Mapping[str, str]] = {
        **OpenAIChat.unused_arguments,
        **dict.fromkeys(("tp", "mem_fraction_static", "chunked_prefill_size"), _LAUNCH),
        "chat_template": _LAUNCH,
        **dict.fromkeys(("force_sample", "add_time_instruction"), _NO_VIDEO),
    }

    def __init__(
        self,
        model_version: str | None = None,
        *,
        model: str | None = None,
        host: str = "127.0.0.1",
        port: int = 30000,
        base_url: str | None = None,
        modality: Literal["image", "multi-images", "video"] = "image",
        num_processes: int | None = None,
        num_concurrent: int = 32,
        timeout: float = 60,
        **settings: Any,
    ) -> None:
        if modality == "video":
            raise UsageError("srt_api: modality=video: videos are not supported yet")
        super().__init__(
            model or model_version,
            base_url=base_url or f"http://{host}:{port}",
            num_concurrent=num_processes or num_concurrent,
            timeout=timeout,
            **settings,
        )
        self.modality = modality

    def image(self, request: Instance, url: str) -> dict[str, Any]:
        """Return an image part that says what it belongs to."""
        return super().image(request, url) | {"modalities": self.modality}

    def sampling(self, request: Instance, generation: Generation) -> dict[str, Any]:
        """Return nothing for lmms-eval's tasks: only the two first fields are sent."""
        sent = super().sampling(request, generation)
        return {} if request.dialect == "lmms_eval" else sent

    def parse_response(self, request: Instance, answer: Any) -> Response:
        """Read the first choice; the answer is stripped, as lmms-eval's model does."""
        response = super().parse_response(request, answer)
        return dataclasses.replace(response, text=(response.text or "").strip())
