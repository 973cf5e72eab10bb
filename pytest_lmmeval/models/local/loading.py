"""Checkpoints of transformers, with their tokenizers. Loads torch and transformers on import."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import transformers
from accelerate.utils import get_max_memory

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.endpoints.failures import shortened
from pytest_lmmeval.models.local.causal_settings import Checkpoint
from pytest_lmmeval.models.local.checkpoints import refuse_random_weights
from pytest_lmmeval.models.local.devices import device_name

# transformers' auto classes are typed for their own use only.
_hf: Any = transformers


def load_causal(checkpoint: Checkpoint) -> tuple[Any, Any]:
    """Return a causal language model, ready to compute, and its tokenizer.

    Raises:
        ModelUnavailable: Either cannot be loaded, or the device is not there.
    """
    model = checkpoint.model
    if not isinstance(model, str):
        return model.eval(), _load_tokenizer(checkpoint, model.name_or_path)
    device = checked_device(checkpoint.device)
    _refuse_other_kinds(checkpoint)
    tokenizer = _load_tokenizer(checkpoint, model)
    model = _load_model(checkpoint, model)
    if checkpoint.peft is not None:
        model = _adapt(checkpoint, model, len(tokenizer))
    if checkpoint.delta is not None:
        _add_delta(checkpoint, model, checkpoint.delta)
    if checkpoint.model_arguments.get("device_map") is None:
        model = model.to(device)
    return model.eval(), tokenizer


def _refuse_other_kinds(checkpoint: Checkpoint) -> None:
    name = checkpoint.model
    with _explained(name):
        config = _hf.AutoConfig.from_pretrained(name, **checkpoint.hub)
    if getattr(config, "is_encoder_decoder", False):
        raise ModelUnavailable(
            f"{name} is an encoder-decoder model ({config.model_type}); hf runs causal models"
        )


def _load_tokenizer(checkpoint: Checkpoint, model: str) -> Any:
    tokenizer = checkpoint.tokenizer
    if tokenizer is not None and not isinstance(tokenizer, str):
        return tokenizer
    hub = dict(checkpoint.hub)
    if tokenizer is not None:
        hub.pop("subfolder", None)
    name = tokenizer or model
    with _explained(f"the tokenizer of {name}"):
        return _hf.AutoTokenizer.from_pretrained(name, **checkpoint.tokenizer_arguments, **hub)


def _load_model(checkpoint: Checkpoint, name: str) -> Any:
    given = {key: value for key, value in checkpoint.model_arguments.items() if value is not None}
    if "max_memory" in given:
        given["max_memory"] = _memory(given["max_memory"])
    with no_progress_bars(), _explained(name):
        model, loaded = _hf.AutoModelForCausalLM.from_pretrained(
            name, output_loading_info=True, **given, **checkpoint.hub
        )
    refuse_random_weights(name, loaded)
    return model


def _memory(limits: Mapping[str, Any]) -> dict[int | str, Any]:
    memory: dict[int | str, Any] = get_max_memory()
    for device in memory:
        memory[device] = limits.get("cpu" if device == "cpu" else "gpu", memory[device])
    return memory


def _adapt(checkpoint: Checkpoint, model: Any, vocabulary: int) -> Any:
    try:
        import peft
    except ImportError as error:
        raise ModelUnavailable(
            "peft=… needs the package peft: pip install 'pytest-lmmeval[peft]'"
        ) from error
    if model.get_input_embeddings().num_embeddings != vocabulary:
        # The adapter may have been trained with tokens added; lm-eval resizes as well.
        model.resize_token_embeddings(vocabulary)
    adapter: Any = peft
    with no_progress_bars(), _explained(f"the adapter {checkpoint.peft}"):
        return adapter.PeftModel.from_pretrained(
            model, checkpoint.peft, revision=checkpoint.hub.get("revision")
        )


def _add_delta(checkpoint: Checkpoint, model: Any, name: str) -> None:
    added = _load_model(checkpoint, name).state_dict()
    for key, weight in model.state_dict().items():
        if key not in added or added[key].shape != weight.shape:
            raise ModelUnavailable(f"the delta {name} has no weights for {key} of this shape")
        weight += added[key].to(weight.device)


def checked_device(asked: str | None) -> str:
    """Return the device to load on.

    Raises:
        ModelUnavailable: There is no such device.
    """
    name = device_name(asked, has_cuda=torch.cuda.is_available())
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        found = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        found += ["mps"] if torch.backends.mps.is_available() else []
        raise ModelUnavailable(
            f"the device {name!r} cannot be used: torch sees {', '.join(found)}"
        ) from error
    return name


def keeps_logits(model: Any) -> bool:
    """Whether a model can be told for how many last positions logits are wanted."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep transformers' progress bars out of a terminal that is pytest's."""
    progress: Any = transformers.utils.logging
    were_on = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            progress.enable_progress_bar()


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a broken or foreign checkpoint makes them raise anything
        said = shortened(str(error).strip().partition("\n")[0])
        raise ModelUnavailable(
            f"{what} cannot be loaded: {type(error).__name__}: {said}"
        ) from error
