"""``hf``: a causal language model in this process, through transformers.

Scores and texts are those of lm-eval's ``hf`` for the same weights; docs/models.md has the few
differences. This module has the arguments and the way from requests to responses; torch and
transformers load with ``start``.
"""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pytest_lmmeval.errors import ModelUnavailable, RequestError, UsageError
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.models.local.batch_size import BatchSize
from pytest_lmmeval.models.local.causal_settings import (
    REFUSED,
    UNUSED,
    Checkpoint,
    Computing,
    Reading,
    checked_dtype,
    one_of,
    placement,
)
from pytest_lmmeval.models.local.checkpoints import fingerprint, local_folder
from pytest_lmmeval.models.truncation import read_policy
from pytest_lmmeval.records import Instance, RequestType, Response

if TYPE_CHECKING:
    from pytest_lmmeval.models.local.causal import CausalModel

# How many batches a call gets at once, so that they can be sorted by their number of tokens and
# requests with equal inputs can share a forward pass.
_BATCHES_PER_CALL = 8


class HFText(LM):
    """A checkpoint that ``AutoModelForCausalLM`` loads. The arguments are lm-eval's.

    Args:
        pretrained: A checkpoint's folder, a name on the Hugging Face hub, or a loaded model.
        revision: Branch, tag or commit on the hub.
        subfolder: Where in it the checkpoint is.
        tokenizer: A folder, a name or a loaded tokenizer, if it is not the checkpoint's.
        backend: ``causal``, the only kind that runs; ``default`` is the same.
        dtype: For example ``float32``; by default the checkpoint's.
        softmax_dtype: Precision of the log-softmax; by default that of the logits.
        mixed_precision_dtype: Precision of automatic mixed precision; by default none is used.
        device: Where to compute; ``cuda:{worker}`` gives each xdist worker its own. By default a
            GPU if there is one.
        device_map: transformers' placement over several devices, instead of ``device``.
        parallelize: Short for ``device_map=auto`` with the three limits that follow.
        max_memory_per_gpu: Bytes, or a text such as ``10GiB``.
        max_cpu_memory: Bytes, or a text such as ``10GiB``.
        offload_folder: Where weights go that fit into neither.
        batch_size: Requests in one forward pass; ``auto`` takes as many as fit into memory, up to
            ``max_batch_size``; ``auto:N`` finds that out N times along the requests of a call.
        max_batch_size: Where ``auto`` begins.
        max_length: Tokens that the model reads at once; by default the checkpoint's.
        truncation: What becomes of longer prompts: ``left`` drops tokens at their start, ``skip``
            leaves the doc out of the scores (both are counted as truncated), ``error`` fails it.
        add_bos_token: Whether special tokens are added to a prompt; by default as the tokenizer
            does it.
        prefix_token_id: The token that stands for an empty context; by default BOS, else EOS.
        custom_prefix_token_id: Another name for it.
        trust_remote_code: Whether code that comes with the checkpoint may run.
        use_fast_tokenizer: Whether the tokenizer is the Rust one where there is one.
        peft: A folder or name of an adapter, for the package peft.
        delta: A folder or name of weights to add to the checkpoint's.
        attn_implementation: transformers' name of an attention kernel.
        logits_cache: Whether requests with equal inputs share a forward pass.
        apply_chat_template: Whether prompts go through the chat template.
        chat_template: A name among the tokenizer's templates, or a Jinja file.
        chat_template_args: What the template gets beside the messages.
        enable_thinking: Passed to the template; true needs ``think_end_token``.
        think_end_token: A text or token id, up to the last of which an answer is reasoning.
        max_gen_toks: Most tokens to generate where a task does not say.
        num_threads: CPU threads; by default one if there are several xdist workers.
        seed: Sampling seed.
    """

    request_types: ClassVar[frozenset[RequestType]] = frozenset(
        {"generate_until", "loglikelihood", "loglikelihood_rolling"}
    )
    unused_arguments: ClassVar[Mapping[str, str]] = UNUSED
    refused_arguments: ClassVar[Mapping[str, str]] = REFUSED
    names_chat_templates: ClassVar[bool] = True

    def __init__(
        self,
        pretrained: str | object,
        *,
        revision: str = "main",
        subfolder: str = "",
        tokenizer: str | object | None = None,
        backend: Literal["default", "causal", "seq2seq"] = "default",
        dtype: str | None = "auto",
        softmax_dtype: str | None = None,
        mixed_precision_dtype: str | None = None,
        device: str | None = None,
        device_map: str | dict[str, Any] | None = None,
        parallelize: bool = False,
        max_memory_per_gpu: int | str | None = None,
        max_cpu_memory: int | str | None = None,
        offload_folder: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int = 64,
        max_length: int | None = None,
        truncation: bool | str = "left",
        add_bos_token: bool | None = None,
        prefix_token_id: int | None = None,
        custom_prefix_token_id: int | None = None,
        trust_remote_code: bool = False,
        use_fast_tokenizer: bool = True,
        peft: str | None = None,
        delta: str | None = None,
        attn_implementation: str | None = None,
        logits_cache: bool = True,
        apply_chat_template: bool = False,
        chat_template: str | None = None,
        chat_template_args: dict[str, Any] | None = None,
        enable_thinking: bool | None = None,
        think_end_token: str | int | None = None,
        max_gen_toks: int | None = None,
        num_threads: int | None = None,
        seed: int = 1234,
    ) -> None:
        if not isinstance(pretrained, str) and not hasattr(pretrained, "config"):
            raise UsageError(
                f"pretrained must be a folder, a name on the hub or a model, not {pretrained!r}; "
                f'write pretrained="…", in quotes, if it is a name'
            )
        if backend == "seq2seq":
            raise UsageError("backend=seq2seq: encoder-decoder models do not run here")
        if peft and delta:
            raise UsageError("give peft or delta, not both")
        if enable_thinking and think_end_token is None:
            raise UsageError("enable_thinking=true needs think_end_token, where the answer begins")
        if max_length is not None and max_length < 2:
            raise UsageError(f"max_length must be at least 2, not {max_length}")
        self.chat = apply_chat_template
        self.thinks = bool(enable_thinking)
        self.forward_size = BatchSize(batch_size, max_batch_size)
        self.batch_size = self.forward_size.current * _BATCHES_PER_CALL
        bos = {} if add_bos_token is None else {"add_bos_token": add_bos_token}
        thinking = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
        spread = placement(
            device_map,
            parallelize=parallelize,
            max_memory_per_gpu=max_memory_per_gpu,
            max_cpu_memory=max_cpu_memory,
            offload_folder=offload_folder,
        )
        self.checkpoint = Checkpoint(
            model=pretrained,
            tokenizer=tokenizer,
            peft=peft,
            delta=delta,
            device=device,
            hub={
                "revision": revision,
                "subfolder": subfolder,
                "trust_remote_code": trust_remote_code,
            },
            model_arguments={
                "dtype": checked_dtype("dtype", dtype),
                "attn_implementation": attn_implementation,
                **spread,
            },
            tokenizer_arguments={"use_fast": use_fast_tokenizer, **bos},
        )
        self.reading = Reading(
            max_length=max_length,
            truncation=read_policy(truncation),
            add_bos_token=add_bos_token,
            prefix_token_id=one_of(
                prefix_token_id=prefix_token_id, custom_prefix_token_id=custom_prefix_token_id
            ),
            chat_template=chat_template,
            template_arguments={**(chat_template_args or {}), **thinking},
            think_end=think_end_token,
            max_gen_toks=max_gen_toks,
            seed=seed,
        )
        self.computing = Computing(
            softmax_dtype=checked_dtype("softmax_dtype", softmax_dtype),
            autocast_dtype=checked_dtype("mixed_precision_dtype", mixed_precision_dtype),
            share_inputs=logits_cache,
            num_threads=num_threads,
        )
        self._model: CausalModel | None = None
        self._identity: dict[str, str] = {}

    def start(self) -> None:
        """Load the checkpoint.

        Raises:
            ModelUnavailable: There is none, it cannot be loaded, or a package is missing.
        """
        folders = self._folders()
        try:
            from pytest_lmmeval.models.local.causal import CausalModel
        except ImportError as error:
            raise ModelUnavailable(
                f"hf needs {error.name}: pip install 'pytest-lmmeval[hf]'"
            ) from error
        with cf.ThreadPoolExecutor(1) as pool:
            digests = {part: pool.submit(fingerprint, path) for part, path in folders.items()}
            self._model = CausalModel(
                self.checkpoint, self.reading, self.computing, self.forward_size
            )
        for part, digest in digests.items():
            self._identity |= {f"{part}{key}": value for key, value in digest.result().items()}
        self._identity |= self._model.identity()

    def close(self) -> None:
        """Release the model's memory."""
        if self._model is not None:
            self._model.close()
            self._model = None

    def identity(self) -> dict[str, str]:
        """Return what decides the answers: checkpoint, digests or revision, engine, settings."""
        given = self.checkpoint.model
        if not isinstance(given, str):
            given = getattr(given, "name_or_path", "") or type(given).__name__
        local = Path(given).is_dir() or not isinstance(self.checkpoint.model, str)
        name = given.rstrip("/").rpartition("/")[2] if local else given
        hub = {} if local else {"revision": str(self.checkpoint.hub["revision"])}
        return {"model": name, **hub, **self._settings(), **self._identity}

    def generate_until(self, requests: Sequence[Instance]) -> list[Response]:
        """Answer requests; see ``CausalModel.generate``."""
        return self._loaded().generate(requests)

    def loglikelihood(self, requests: Sequence[Instance]) -> list[Response]:
        """Score continuations.

        Raises:
            RequestError: The model is to think first, which leaves nothing to score.
        """
        if self.thinks:
            raise RequestError("client", "enable_thinking=true answers generation requests only")
        return self._loaded().loglikelihood(requests)

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[Response]:
        """Score whole documents."""
        return self._loaded().loglikelihood_rolling(requests)

    def _loaded(self) -> CausalModel:
        assert self._model is not None, "the model was not started"
        return self._model

    def _folders(self) -> dict[str, Path]:
        """Return the local folders that decide the answers, by the prefix of their digests' names.

        Raises:
            ModelUnavailable: A path leads nowhere.
        """
        subfolder = str(self.checkpoint.hub["subfolder"])
        parts = {
            "": (self.checkpoint.model, subfolder, "config.json"),
            "tokenizer_": (self.checkpoint.tokenizer, "", None),
            "peft_": (self.checkpoint.peft, "", "adapter_config.json"),
            "delta_": (self.checkpoint.delta, subfolder, "config.json"),
        }
        folders = {}
        for part, (given, inner, settings) in parts.items():
            folder = None
            if isinstance(given, str):
                folder = local_folder(given, inner, settings=settings)
            if folder is not None:
                folders[part] = folder / inner
        return folders

    def _settings(self) -> dict[str, str]:
        """Return the arguments that change numbers, where they were given."""
        reading, computing = self.reading, self.computing
        hub_names = {
            name: value
            for name in ("tokenizer", "peft", "delta")
            if isinstance(value := getattr(self.checkpoint, name), str) and not Path(value).is_dir()
        }
        given = {
            **hub_names,
            "truncation": reading.truncation if reading.truncation != "left" else None,
            "add_bos_token": reading.add_bos_token,
            "prefix_token_id": reading.prefix_token_id,
            "think_end_token": reading.think_end,
            "softmax_dtype": computing.softmax_dtype,
            "mixed_precision_dtype": computing.autocast_dtype,
            **reading.template_arguments,
        }
        return {name: str(value) for name, value in given.items() if value is not None}
