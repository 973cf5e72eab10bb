"""Tokenizers for endpoints: of transformers, of tiktoken, or none.

An endpoint counts and cuts prompts with one, and finds the tokens of a continuation among those of
the whole prompt. It must be the served model's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import orjson

from pytest_lmmeval.errors import ModelUnavailable, UsageError, nearest
from pytest_lmmeval.models.endpoints.failures import shortened
from pytest_lmmeval.models.endpoints.tokenizer_cuts import cuts_before_spaces
from pytest_lmmeval.models.endpoints.tokenizer_files import read_tokenizer

_BACKENDS = ("huggingface", "tiktoken", "none")
_END_OF_TEXT = "<|endoftext|>"
# OpenAI's encodings: how text is split before merging, and the ids of their special tokens. Files
# with the merges are named after them. Source: openai_public.py of tiktoken 0.14.
_GPT2_SPLIT = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
_CL100K_SPLIT = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
_O200K_SPLIT = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_ENCODINGS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "r50k_base": (_GPT2_SPLIT, {_END_OF_TEXT: 50256}),
    "p50k_base": (_GPT2_SPLIT, {_END_OF_TEXT: 50256}),
    "cl100k_base": (
        _CL100K_SPLIT,
        {
            _END_OF_TEXT: 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": (_O200K_SPLIT, {_END_OF_TEXT: 199999, "<|endofprompt|>": 200018}),
}


class Tokenizer(Protocol):
    """What an endpoint needs of a tokenizer.

    Attributes:
        bos_token_id: The token that begins a text, if there is one.
        eos_token_id: The token that ends a text, if there is one.
        eos_token: Its text.
        in_threads: Whether it may encode in several threads at once.
        cuts_before_spaces: See ``tokenizer_cuts``; False where that is not known.
    """

    in_threads: bool
    cuts_before_spaces: bool
    bos_token_id: int | None
    eos_token_id: int | None
    eos_token: str | None

    @property
    def raw(self) -> Any:
        """The object of transformers or of tiktoken."""

    @property
    def is_whole(self) -> bool:
        """Whether ``raw`` is loaded; otherwise asking for it takes seconds."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the tokens of a text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""


class HuggingFaceTokenizer:
    """A tokenizer of transformers.

    Args:
        name: A folder, or a name on the hub.
        arguments: For ``AutoTokenizer.from_pretrained``.

    Raises:
        ModelUnavailable: It cannot be loaded.
    """

    is_whole = True

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        hf = _package("transformers", "tokenizers")
        try:
            where = str(_path(name)) if name.startswith("~") else name
            self.raw: Any = hf.AutoTokenizer.from_pretrained(where, **arguments)
        except Exception as error:  # what it raises differs with the file that is amiss
            said = shortened(" ".join(f"{type(error).__name__}: {error}".split()))
            raise ModelUnavailable(
                f"the tokenizer {name!r} cannot be loaded ({said}); give tokenizer=FOLDER or a "
                "name on the hub, or tokenizer_backend=none if only text is to be generated"
            ) from error
        self.in_threads = bool(getattr(self.raw, "is_fast", False))
        if self.in_threads:
            # The first text sets what the Rust tokenizer truncates, which no other may be using.
            self.raw.encode("")
        self.cuts_before_spaces = self.in_threads and cuts_before_spaces(_described(self.raw))
        self.bos_token_id: int | None = self.raw.bos_token_id
        self.eos_token_id: int | None = self.raw.eos_token_id
        self.eos_token: str | None = self.raw.eos_token

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the tokens of a text."""
        # verbose: a text beyond the model's context is no news to us.
        tokens: list[int] = self.raw.encode(
            text, add_special_tokens=add_special_tokens, verbose=False
        )
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        text: str = self.raw.decode(list(tokens))
        return text


class TiktokenTokenizer:
    """An encoding of tiktoken; its end of text also stands for an empty context, as in lm-eval.

    Args:
        name: A local file with the merges, such as ``cl100k_base.tiktoken``; or the name of an
            encoding or of a model of OpenAI, whose file tiktoken then takes from its cache
            (``TIKTOKEN_CACHE_DIR``) or downloads.

    Raises:
        ModelUnavailable: It cannot be loaded.
    """

    is_whole = True
    cuts_before_spaces = False

    def __init__(self, name: str) -> None:
        tiktoken = _package("tiktoken", "tiktoken")
        if name.endswith(".tiktoken"):
            self.raw: Any = _from_file(Path(name).expanduser(), tiktoken)
        else:
            self.raw = _from_cache(name, tiktoken)
        self.in_threads = True
        self.eos_token_id: int | None = self.raw.eot_token
        self.bos_token_id: int | None = self.eos_token_id
        self.eos_token: str | None = _END_OF_TEXT

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the tokens of a text; one that looks special is text, and none is added."""
        tokens: list[int] = self.raw.encode(text, disallowed_special=())
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        text: str = self.raw.decode(list(tokens))
        return text


def read_backend(name: str | None) -> str:
    """Return the tokenizer backend that an argument names; "auto" is transformers.

    Raises:
        UsageError: There is none of this name.
    """
    if name is None:
        return "none"
    if name == "remote":
        raise UsageError(
            "tokenizer_backend=remote would ask the server for the tokens of every text; name its "
            "tokenizer instead: tokenizer=FOLDER, or a name on the hub"
        )
    backend = "huggingface" if name == "auto" else name.lower()
    if backend not in _BACKENDS:
        raise UsageError(
            f"tokenizer_backend must be {', '.join(_BACKENDS)} or auto, not {name!r}."
            f"{nearest(name, _BACKENDS)}"
        )
    return backend


def load_tokenizer(backend: str, name: str, arguments: Mapping[str, Any]) -> Tokenizer | None:
    """Return the tokenizer ``name`` of a backend, None for the backend "none".

    Raises:
        ModelUnavailable: It cannot be loaded, or its package is not installed.
    """
    if backend == "none":
        return None
    if backend == "tiktoken":
        return TiktokenTokenizer(name)

    def load() -> HuggingFaceTokenizer:
        return HuggingFaceTokenizer(name, arguments)

    as_usual = {"trust_remote_code": False, "use_fast": True}
    asked = {key: value for key, value in arguments.items() if key != "revision"}
    if asked == as_usual and _path(name).is_dir():
        return read_tokenizer(_path(name), lambda: load().raw) or load()
    return load()


def _described(raw: Any) -> dict[str, Any]:
    """Return what ``tokenizer_cuts`` has to know of a tokenizer of transformers, as in a file."""
    if not type(raw).__module__.startswith("transformers."):
        return {}  # code of the tokenizer's own may do anything to a text
    rust = raw.backend_tokenizer
    parts = {"normalizer": rust.normalizer, "pre_tokenizer": rust.pre_tokenizer}
    try:
        told = {name: part and orjson.loads(part.__getstate__()) for name, part in parts.items()}
    except Exception:  # the Rust library raises nothing narrower for a part that is Python code
        return {}
    flags = ("content", "lstrip", "rstrip", "single_word")
    added = rust.get_added_tokens_decoder().values()
    return {
        **told,
        "added_tokens": [{name: getattr(token, name) for name in flags} for token in added],
        "model": {"dropout": getattr(rust.model, "dropout", None)},
    }


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelUnavailable(
            f"this tokenizer needs the package {name}: pip install pytest-lmmeval[{extra}]; or "
            "give tokenizer_backend=none if only text is to be generated"
        ) from error


def _from_file(path: Path, tiktoken: Any) -> Any:
    name = path.stem
    if name not in _ENCODINGS:
        raise ModelUnavailable(
            f"tokenizer={str(path)!r}: the file's name must say which encoding it is, one of "
            f"{', '.join(_ENCODINGS)}.{nearest(name, _ENCODINGS)}"
        )
    split, special = _ENCODINGS[name]
    try:
        ranks = importlib.import_module("tiktoken.load").load_tiktoken_bpe(str(path))
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"tokenizer={str(path)!r} cannot be read: {error}") from error
    return tiktoken.Encoding(name, pat_str=split, mergeable_ranks=ranks, special_tokens=special)


def _from_cache(name: str, tiktoken: Any) -> Any:
    known = tiktoken.list_encoding_names()
    try:
        encoding = name if name in known else tiktoken.encoding_name_for_model(name)
    except KeyError:
        raise ModelUnavailable(
            f"tiktoken knows no encoding for {name!r}; give tokenizer=FILE.tiktoken or one of "
            f"{', '.join(known)}.{nearest(name, known)}"
        ) from None
    try:
        return tiktoken.get_encoding(encoding)
    except Exception as error:  # whatever its HTTP library raises without a network
        raise ModelUnavailable(
            f"tiktoken cannot load {encoding} ({type(error).__name__}); give "
            f"tokenizer={encoding}.tiktoken, a local file, or set TIKTOKEN_CACHE_DIR"
        ) from error
