"""The ``server:`` section of a suite: which server to start, and when it is ready."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_lmmeval.errors import UsageError, nearest


@dataclass(frozen=True)
class ServerSpec:
    """The ``server:`` section of a suite.

    Attributes:
        cmd: The command; ``{port}`` and ``{python}`` (this interpreter) are replaced.
        env: Added to the environment; ``{port}`` is replaced.
        port: A port on 127.0.0.1, or None for a free one.
        reuse: A port on 127.0.0.1; what already listens there is used instead, and is not stopped.
        ready: The path that answers with success once the server is ready.
        ready_timeout: Seconds that the server may take until then.
        base_path: Where the API begins.
        model: The name of the served model.
        cwd: The directory to start in.
    """

    cmd: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    reuse: int | None = None
    ready: str = "/health"
    ready_timeout: float = 300
    base_path: str = "/v1"
    model: str = ""
    cwd: str | None = None

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> ServerSpec:
        """Read the section as YAML has it.

        Raises:
            UsageError: A key is unknown, or a value is of the wrong type.
        """
        known = set(cls.__dataclass_fields__)
        for key in given:
            if key not in known:
                raise UsageError(
                    f"server: unknown key {key!r}.{nearest(str(key), known)} "
                    f"It takes {', '.join(sorted(known))}."
                )
        values = {key: value for key, value in given.items() if value is not None}
        values["cmd"] = _command(values.get("cmd"))
        values["port"] = _port("port", values.get("port", "auto"))
        if "reuse" in values:
            values["reuse"] = _port("reuse", values["reuse"])
        values["ready_timeout"] = _seconds(values.get("ready_timeout", cls.ready_timeout))
        env = values.get("env", {})
        if not isinstance(env, Mapping):
            raise UsageError(f"server: env must be a mapping, not {type(env).__name__}")
        values["env"] = {str(name): str(value) for name, value in env.items()}
        for key in ("ready", "base_path"):
            value = values.get(key, "/")
            if not isinstance(value, str) or not value.startswith("/"):
                raise UsageError(f"server: {key} must be a path such as /health, not {value!r}")
        return cls(**values)

    def at(self, port: int) -> ServerSpec:
        """Return the section with its placeholders filled in."""

        def fill(text: str) -> str:
            return text.replace("{port}", str(port)).replace("{python}", sys.executable)

        env = {name: fill(value) for name, value in self.env.items()}
        return replace(self, cmd=tuple(fill(word) for word in self.cmd), env=env, port=port)


def _command(cmd: Any) -> tuple[str, ...]:
    if not isinstance(cmd, Sequence) or isinstance(cmd, str) or not cmd:
        raise UsageError(f"server: cmd must be a list of words, not {cmd!r}")
    return tuple(str(word) for word in cmd)


def _port(key: str, port: Any) -> int | None:
    if port == "auto" and key == "port":
        return None
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        auto = "auto or " if key == "port" else ""
        raise UsageError(f"server: {key} must be {auto}a number up to 65535, not {port!r}")
    return port


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UsageError(f"server: ready_timeout must be a number of seconds, not {value!r}")
    return float(value)
