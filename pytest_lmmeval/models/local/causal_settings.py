"""What ``hf`` is asked to load, read and compute with. Loads neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.models.truncation import Policy

REFUSED: Mapping[str, str] = {
    "autogptq": "transformers reads a GPTQ checkpoint by itself: leave it out",
    "cache_dir": "set the environment's HF_HOME",
    "gguf_file": "serve the file with llama.cpp and take local-completions",
    "gptqmodel": "transformers reads a GPTQ checkpoint by itself: leave it out",
    "load_in_4bit": "take a checkpoint whose config.json has a quantization_config",
    "load_in_8bit": "take a checkpoint whose config.json has a quantization_config",
    "quantization_config": "take a checkpoint whose config.json has a quantization_config",
    "system_instruction": "give --lmm-system-instruction, which every model understands",
    "token": "set the environment's HF_TOKEN, so that it stands in no command line",
    "torch_dtype": "it is called dtype",
    "tp_plan": "it needs torchrun; give parallelize=true, or a server with several GPUs",
    "use_auth_token": "set the environment's HF_TOKEN, so that it stands in no command line",
}
UNUSED: Mapping[str, str] = {
    "low_cpu_mem_usage": "transformers always loads that way",
    "use_cache": "generation always caches, scoring never does",
}
_DTYPES = ("float16", "bfloat16", "float32", "float64", "half", "float", "double")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a causal language model is and how to load it.

    Attributes:
        model: A folder or a name on the hub, or a model that is loaded.
        tokenizer: A folder or a name, or one that is loaded; None takes the model's.
        peft: A folder or name of an adapter.
        delta: A folder or name of weights to add.
        device: See ``devices.device_name``; without effect with a device map.
        hub: ``revision``, ``trust_remote_code`` and ``subfolder``.
        model_arguments: Further arguments of the model's ``from_pretrained``; None is left out.
        tokenizer_arguments: Further arguments of the tokenizer's.
    """

    model: Any
    tokenizer: Any = None
    peft: str | None = None
    delta: str | None = None
    device: str | None = None
    hub: Mapping[str, Any] = field(default_factory=dict)
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    tokenizer_arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How requests become tokens, and tokens answers. Attributes as the arguments of ``HFText``."""

    max_length: int | None
    truncation: Policy
    add_bos_token: bool | None
    prefix_token_id: int | None
    chat_template: str | None
    template_arguments: Mapping[str, Any]
    think_end: str | int | None
    max_gen_toks: int | None
    seed: int


@dataclass(frozen=True, kw_only=True)
class Computing:
    """How the model computes. Attributes as the arguments of ``HFText``."""

    softmax_dtype: str | None
    autocast_dtype: str | None
    share_inputs: bool
    num_threads: int | None


def checked_dtype(argument: str, name: str | None) -> str | None:
    """Return the name of a precision; ``auto`` is for weights only.

    Raises:
        UsageError: There is no such precision.
    """
    known = ("auto", *_DTYPES) if argument == "dtype" else _DTYPES
    if name is not None and name not in known:
        raise UsageError(
            f"{argument} must be one of {', '.join(known)}, not {name!r}.{nearest(name, known)}"
        )
    return name


def placement(
    device_map: str | Mapping[str, Any] | None,
    *,
    parallelize: bool,
    max_memory_per_gpu: int | str | None,
    max_cpu_memory: int | str | None,
    offload_folder: str | None,
) -> dict[str, Any]:
    """Return how transformers is to spread the weights.

    ``max_memory`` has the limit of each GPU under "gpu", since they are not counted yet.

    Raises:
        UsageError: A limit is given, but nothing is spread.
    """
    limits = {"gpu": max_memory_per_gpu, "cpu": max_cpu_memory}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    if not parallelize and device_map is None:
        if limits or offload_folder:
            raise UsageError(
                "max_memory_per_gpu, max_cpu_memory and offload_folder need parallelize=true"
            )
        return {}
    return {
        "device_map": device_map or "auto",
        "max_memory": limits or None,
        "offload_folder": offload_folder,
    }


def one_of(**names: int | None) -> int | None:
    """Return the value of an argument that has several names.

    Raises:
        UsageError: Two of them differ.
    """
    given = {name: value for name, value in names.items() if value is not None}
    if len(set(given.values())) > 1:
        found = " and ".join(f"{name}={value}" for name, value in given.items())
        raise UsageError(f"{found} contradict each other; give one of them")
    return next(iter(given.values()), None)
