"""Record what lmms-eval's ``openai`` and ``srt_api`` send, as lmms_eval_payloads.json beside this.

Run it where lmms-eval 0.7.3 is installed, whose dependencies are heavy: what its two models import
but do not need to send a request is replaced by empty modules.

    python tests/models/record_lmms_eval.py
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
STUBS = (
    "accelerate", "decord", "dotenv", "sglang", "sglang.srt", "sglang.srt.utils", "sglang.test",
    "sglang.test.test_utils", "qwen_vl_utils",
)  # fmt: skip


def main() -> None:
    """Ask about all docs and write the file."""
    importlib.import_module("transformers")  # looks for accelerate, which is not to be found yet
    for name in STUBS:
        sys.modules[name] = MagicMock()
    accelerator = sys.modules["accelerate"].Accelerator.return_value
    accelerator.num_processes, accelerator.local_process_index = 1, 0
    cases: Any = importlib.import_module("lmms_eval_cases")
    servers: Any = importlib.import_module("servers")
    recorded: dict[str, dict[str, Any]] = {"openai": {}, "srt_api": {}}
    with servers.ScriptedServer() as server:
        for case in cases.CASES:
            for name, ask in (("openai", ask_openai), ("srt_api", ask_srt)):
                if name == "srt_api" and (case.system or not isinstance(case.parts[0], tuple)):
                    continue  # it takes images and one text only
                ask(case, cases, server, servers.MODEL)
                recorded[name][case.name] = cases.written_down(server.requests[-1].json)
    path = HERE / "lmms_eval_payloads.json"
    path.write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def ask_openai(case: Any, cases: Any, server: Any, model_name: str) -> None:
    """Put a doc through the model ``openai``, which takes messages."""
    module = importlib.import_module("lmms_eval.models.chat.openai")
    model = module.OpenAICompatible(
        model_version=model_name, base_url=server.url, api_key="EMPTY", num_concurrent=1
    )
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "url": cases.picture(part)}
        for part in case.parts
    ]
    messages = [{"role": "user", "content": content}]
    if case.system:
        system = [{"type": "text", "text": case.system}]
        messages.insert(0, {"role": "system", "content": system})
    model.task_dict = {"task": {"test": [None]}}
    arguments = ("Why?", lambda _: messages, dict(case.gen_kwargs), 0, "task", "test")
    model.generate_until([SimpleNamespace(args=arguments)])


def ask_srt(case: Any, cases: Any, server: Any, model_name: str) -> None:
    """Put a doc through the model ``srt_api``, which takes images and one text."""
    module = importlib.import_module("lmms_eval.models.simple.srt_api")
    model = module.SRT_API(
        model_version=model_name, modality="image", host="127.0.0.1", port=server.port
    )
    images = [cases.picture(part) for part in case.parts if isinstance(part, tuple)]
    text = "".join(part for part in case.parts if isinstance(part, str))
    model.task_dict = {"task": {"test": [None]}}
    arguments = (text, dict(case.gen_kwargs), lambda _: images, 0, "task", "test")
    asyncio.run(model.generate(SimpleNamespace(args=arguments)))


if __name__ == "__main__":
    main()
