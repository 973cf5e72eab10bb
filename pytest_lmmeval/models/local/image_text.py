"""Batched generation with a vision-language checkpoint. Loads torch and transformers on import."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers

from pytest_lmmeval.errors import ModelUnavailable, RequestError
from pytest_lmmeval.models.endpoints.failures import shortened
from pytest_lmmeval.models.local.checkpoints import refuse_random_weights
from pytest_lmmeval.models.local.devices import device_name, thread_count
from pytest_lmmeval.models.local.loading import no_progress_bars

# transformers' auto classes are typed for their own use only.
_Processor: Any = transformers.AutoProcessor
_Model: Any = transformers.AutoModelForImageTextToText
_STOP_MARGIN = 2  # tokens beyond a stop's own that its last token may add before it


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model generated for one conversation.

    Attributes:
        text: Without special tokens.
        ended: Whether it ended by itself, not by the token limit.
        prompt_tokens: Tokens of the prompt, images included.
        completion_tokens: Tokens generated, the end token included.
    """

    text: str
    ended: bool
    prompt_tokens: int
    completion_tokens: int


class ImageTextModel:
    """A loaded checkpoint and its processor, for one thread.

    Args:
        checkpoint: A folder or a name on the hub.
        device: See ``devices.device_name``.
        device_map: transformers' placement, instead of ``device``.
        num_threads: See ``devices.thread_count``.
        seed: Sampling seed.
        processor_arguments: Further arguments of the processor.
        model_arguments: Further arguments of the model; None stands for the default.
        **hub: ``revision`` and ``trust_remote_code``.

    Raises:
        ModelUnavailable: The checkpoint cannot be loaded.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        device: str | None,
        device_map: str | None,
        num_threads: int | None,
        seed: int,
        processor_arguments: Mapping[str, Any],
        model_arguments: Mapping[str, Any],
        **hub: Any,
    ) -> None:
        self._seed = seed
        where = device_name(device, has_cuda=torch.cuda.is_available())
        settings = {name: value for name, value in model_arguments.items() if value is not None}
        try:
            with no_progress_bars():
                self._processor = _Processor.from_pretrained(
                    checkpoint, **processor_arguments, **hub
                )
                model, loaded = _Model.from_pretrained(
                    checkpoint, device_map=device_map, output_loading_info=True, **settings, **hub
                )
            self._model = (model.to(where) if device_map is None else model).eval()
        except Exception as error:  # a broken or foreign checkpoint makes them raise anything
            said = shortened(str(error).strip().partition("\n")[0])
            raise ModelUnavailable(
                f"{checkpoint} cannot be loaded: {type(error).__name__}: {said}"
            ) from error
        refuse_random_weights(checkpoint, loaded)
        self._tokenizer = self._prepare_tokenizer(checkpoint)
        self._end_tokens = self._find_end_tokens()
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(thread_count(num_threads) or self._threads_before)

    def close(self) -> None:
        """Release memory, and give the process its threads back."""
        on_gpu = self._model.device.type == "cuda"
        del self._model, self._processor, self._tokenizer
        torch.set_num_threads(self._threads_before)
        if on_gpu:
            torch.cuda.empty_cache()

    def identity(self) -> dict[str, str]:
        """Return the engine's version, the precision, and the hub's commit if it is from there."""
        identity = {
            "engine": f"transformers {transformers.__version__}",
            "dtype": str(self._model.dtype).removeprefix("torch."),
        }
        commit = getattr(self._model.config, "_commit_hash", None)
        return identity | ({"revision": commit} if commit else {})

    @torch.inference_mode()
    def answer(
        self,
        conversations: Sequence[Sequence[Mapping[str, Any]]],
        images: Sequence[Sequence[Any]],
        arguments: Mapping[str, Any],
        *,
        stops: Sequence[str] = (),
        salt: str = "",
    ) -> list[Answer]:
        """Generate one answer for each conversation.

        Args:
            conversations: Messages as the chat template takes them.
            images: The PIL images of each conversation, in order; either all have some or none.
            arguments: Those of ``generate``, and ``seed``.
            stops: Strings at which generation may end early.
            salt: Mixed into the seed, so that batches draw different numbers.

        Raises:
            RequestError: A prompt cannot be encoded or is longer than the model's context.
        """
        inputs = self._encode(conversations, images)
        length = inputs["input_ids"].shape[1]
        chosen = dict(arguments)
        seed = chosen.pop("seed", self._seed)
        if not chosen["do_sample"]:
            # Unset what the checkpoint suggests for sampling, or generate warns about each.
            chosen |= dict.fromkeys(("temperature", "top_p", "top_k"))
        with torch.random.fork_rng(devices=self._cuda_devices()):
            torch.manual_seed((seed + zlib.crc32(salt.encode())) % 2**63)
            output = self._model.generate(
                **inputs,
                **chosen,
                pad_token_id=self._tokenizer.pad_token_id,
                stopping_criteria=self._stopping(stops, length),
            )
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        rows = output[:, length:].tolist()
        limit = chosen["max_new_tokens"]
        return [self._read(row, n, limit) for row, n in zip(rows, prompts, strict=True)]

    def _encode(
        self,
        conversations: Sequence[Sequence[Mapping[str, Any]]],
        images: Sequence[Sequence[Any]],
    ) -> Any:
        prompts = [self._prompt(conversation) for conversation in conversations]
        begun = bool(self._tokenizer.bos_token) and prompts[0].startswith(self._tokenizer.bos_token)
        try:
            inputs = self._processor(
                text=prompts,
                images=[list(group) for group in images] if any(images) else None,
                padding=True,
                return_tensors="pt",
                **({"add_special_tokens": False} if begun else {}),
            )
        except (ValueError, IndexError, TypeError) as error:
            raise RequestError("client", f"the prompt cannot be encoded: {error}") from error
        length = inputs["input_ids"].shape[1]
        limit = self._context_length()
        if limit is not None and length > limit:
            raise RequestError("client", f"the prompt has {length} tokens, the model takes {limit}")
        return inputs.to(self._model.device, dtype=self._model.dtype)

    def _prompt(self, conversation: Sequence[Mapping[str, Any]]) -> str:
        continues = conversation[-1]["role"] == "assistant"
        prompt: str = self._processor.apply_chat_template(
            list(conversation),
            tokenize=False,
            add_generation_prompt=not continues,
            continue_final_message=continues,
        )
        return prompt

    def _read(self, row: Sequence[int], prompt_tokens: int, limit: int) -> Answer:
        """Read a row of new tokens, which padding follows if others took longer."""
        ends = [index for index, token in enumerate(row) if token in self._end_tokens]
        used = list(row[: ends[0] + 1]) if ends else list(row)
        while used and not ends and used[-1] == self._tokenizer.pad_token_id:
            used.pop()
        text = self._tokenizer.decode(used, skip_special_tokens=True)
        return Answer(text, bool(ends) or len(used) < limit, prompt_tokens, len(used))

    def _stopping(self, stops: Sequence[str], length: int) -> Any:
        """Return what ends a row early once one of ``stops`` is in its new text."""
        if not stops:
            return None
        longest = max(len(self._tokenizer(s, add_special_tokens=False).input_ids) for s in stops)
        tail = longest + _STOP_MARGIN

        def has_stop(tokens: torch.Tensor, _scores: Any, **_rest: Any) -> torch.Tensor:
            texts = self._tokenizer.batch_decode(tokens[:, max(length, tokens.shape[1] - tail) :])
            found = [any(stop in text for stop in stops) for text in texts]
            return torch.tensor(found, device=tokens.device)

        return transformers.StoppingCriteriaList([has_stop])

    def _prepare_tokenizer(self, checkpoint: str) -> Any:
        tokenizer = getattr(self._processor, "tokenizer", None)
        if tokenizer is None:
            raise ModelUnavailable(f"{checkpoint} has no processor for images and text")
        if not (getattr(self._processor, "chat_template", None) or tokenizer.chat_template):
            raise ModelUnavailable(f"{checkpoint} has no chat template")
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    def _find_end_tokens(self) -> frozenset[int]:
        ends = self._model.generation_config.eos_token_id
        if ends is None:
            ends = self._tokenizer.eos_token_id
        return frozenset([ends] if isinstance(ends, int) else ends or ())

    def _context_length(self) -> int | None:
        config = self._model.config.get_text_config()
        return getattr(config, "max_position_embeddings", None)

    def _cuda_devices(self) -> list[int]:
        device = self._model.device
        return [device.index or 0] if device.type == "cuda" else []
