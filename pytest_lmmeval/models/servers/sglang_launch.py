"""How ``srt_api`` starts an SGLang server: its command line, as a suite's ``server:`` section.

Flags are those of ``python -m sglang.launch_server`` (SGLang 0.5.23, ``ServerArgs``). Only what the
user gave is passed, so that everything else is SGLang's own default; lmms-eval's model of that name
always passes ``tp=8``, ``mem_fraction_static=0.83``, ``chunked_prefill_size=16384`` and
``chat_template=chatml-llava``, which fit one family of models on one kind of machine.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_lmmeval.errors import ModelUnavailable, UsageError

Scalar: TypeAlias = "str | int | float | bool"

DEFAULT_PORT = 30000
_MODULE = "sglang"
_COMMAND = f"{{python}} -m {_MODULE}.launch_server"
# What the model itself says of the server; a second value would contradict it.
_OURS = frozenset({"model", "model_path", "host", "port", "api_key"})


@dataclass(frozen=True, kw_only=True)
class SGLangLaunch:
    """What a user said about the server to start. None means SGLang's default.

    Attributes:
        model_path: A folder or a name on the hub.
        port: A port on 127.0.0.1, or None for a free one.
        reuse: Whether a server that already listens is used: at the port, by default at SGLang's.
        tp: Tensor-parallel size, in devices.
        dp: Data-parallel replicas.
        mem_fraction_static: Share of a device's memory for weights and key-value cache.
        chunked_prefill_size: Tokens of a prompt that are computed at once.
        chat_template: Name of a built-in template, or the path of one.
        context_length: Longest context, in tokens.
        dtype: Type of weights and activations.
        quantization: Quantisation method.
        device: Kind of device, such as "cpu".
        server_args: Further flags of SGLang by name, dashes or underscores: ``{"max-total-tokens":
            8192, "disable-cuda-graph": true}``. True passes the flag alone, False leaves it out,
            a mapping is passed as JSON and a list as several words.
        command: The command in front of the flags; ``{python}`` is this interpreter.
        timeout: Seconds until the server must be ready.
    """

    model_path: str
    port: int | None = None
    reuse: bool = True
    tp: int | None = None
    dp: int | None = None
    mem_fraction_static: float | None = None
    chunked_prefill_size: int | None = None
    chat_template: str | None = None
    context_length: int | None = None
    dtype: str | None = None
    quantization: str | None = None
    device: str | None = None
    server_args: Mapping[str, Any] = field(default_factory=dict)
    command: str = _COMMAND
    timeout: float = 1200

    def section(self) -> dict[str, Any]:
        """Return the ``server:`` section, as ``ServerSpec`` reads it.

        Raises:
            UsageError: A flag is given twice, or belongs to the model, or the command is empty.
        """
        return {
            "cmd": [*self._command(), *self._flags()],
            "port": self.port or "auto",
            "reuse": (self.port or DEFAULT_PORT) if self.reuse else None,
            # It answers 503 until the weights are loaded, then after generating one token.
            "ready": "/health",
            "ready_timeout": self.timeout,
            "model": self.served_name,
        }

    @property
    def served_name(self) -> str:
        """The model's name at the server."""
        named = {_flag_name(name): value for name, value in self.server_args.items()}
        return str(named.get("served-model-name") or self.model_path)

    def require(self) -> None:
        """Check that there is something to start.

        Raises:
            ModelUnavailable: SGLang is not installed beside this interpreter.
        """
        if self.command == _COMMAND and importlib.util.find_spec(_MODULE) is None:
            raise ModelUnavailable(
                f"no model server at http://127.0.0.1:{self.port or DEFAULT_PORT}, and SGLang is "
                f"not installed for {sys.executable} to launch one: start the server, or pip "
                "install sglang, or name the command with launch_command='…/python -m "
                "sglang.launch_server'"
            )

    def _command(self) -> list[str]:
        words = shlex.split(self.command)
        if not words:
            raise UsageError("srt_api: launch_command is empty")
        return words

    def _flags(self) -> list[str]:
        named = {
            "model-path": self.model_path,
            "host": "127.0.0.1",
            "port": "{port}",
            # "--tp" and "--dp" are abbreviations that argparse could find ambiguous one day.
            "tp-size": self.tp,
            "dp-size": self.dp,
            "mem-fraction-static": self.mem_fraction_static,
            "chunked-prefill-size": self.chunked_prefill_size,
            "chat-template": self.chat_template,
            "context-length": self.context_length,
            "dtype": self.dtype,
            "quantization": self.quantization,
            "device": self.device,
        }
        flags = {name: value for name, value in named.items() if value is not None}
        for written, value in self.server_args.items():
            name = _flag_name(written)
            if name in flags or name.replace("-", "_") in _OURS:
                raise UsageError(
                    f"srt_api: server_args names {written!r}, which is given by an argument of "
                    "its own"
                )
            flags[name] = value
        return [word for name, value in flags.items() for word in _words(name, value)]


def _flag_name(written: str) -> str:
    return str(written).lstrip("-").replace("_", "-")


def _words(name: str, value: Any) -> list[str]:
    if value is True:
        return [f"--{name}"]
    if value is False or value is None:
        return []
    if isinstance(value, Mapping):
        return [f"--{name}", json.dumps(value)]
    if isinstance(value, (list, tuple)):
        return [f"--{name}", *(str(item) for item in value)]
    return [f"--{name}", str(value)]
