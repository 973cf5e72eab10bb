"""Tokenizers that are what their ``tokenizer.json`` says, read without transformers.

Importing transformers takes a second of CPU time, and three where torch is installed. Most of what
it does with a tokenizer is to choose a class, which may rebuild what the file describes. Where the
folder asks for transformers' generic class and for nothing that changes the file's tokenizer, the
library ``tokenizers`` gives the same tokens and texts by itself. Everything else is left to
transformers: other classes, other settings, code of the tokenizer's own.
"""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmmeval.models.endpoints.tokenizer_cuts import cuts_before_spaces

# Transformers' generic class by its present and its former name.
_GENERIC = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
# Models for which transformers keeps to the generic class where the folder asks for it. For some
# others it takes a class of the model's own instead (``AutoTokenizer.from_pretrained`` of 5.23).
KEPT_GENERIC = frozenset(
    {
        *("llama", "llama4", "llama4_text", "gpt2", "gpt_neo", "gpt_neox", "gptj", "gpt_oss"),
        *("falcon", "falcon_h1", "falcon_mamba", "mamba", "mamba2", "bloom", "mpt", "opt"),
        *("olmo", "olmo2", "olmo3", "olmoe", "deepseek_v2", "deepseek_v3", "granite"),
        *("granitemoe", "granitemoehybrid", "glm", "glm4", "glm4_moe", "cohere", "cohere2"),
        *("stablelm", "starcoder2", "smollm3", "exaone4", "lfm2", "bert"),
    }
)
# Named special tokens, as transformers' tokenizers have them.
_SPECIAL = frozenset(
    {
        *("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token"),
        "mask_token",
    }
)
# Settings that change neither the tokens of a text nor the text of tokens.
_WITHOUT_EFFECT = frozenset(
    {
        *("tokenizer_class", "backend", "chat_template", "model_max_length", "model_input_names"),
        *("padding_side", "truncation_side", "added_tokens_decoder", "name_or_path", "is_local"),
        *("local_files_only", "processor_class", "max_length", "stride", "truncation_strategy"),
        *("pad_to_multiple_of", "pad_token_type_id"),
    }
)
# Lists of further special tokens.
_FURTHER = ("extra_special_tokens", "additional_special_tokens")
# Files of tokens that count where the settings list none.
_ADDED_ELSEWHERE = ("special_tokens_map.json", "added_tokens.json")
_FLAGS = ("content", "lstrip", "rstrip", "single_word", "normalized", "special")


class FileTokenizer:
    """A tokenizer of the library ``tokenizers``.

    Args:
        tokenizer: The library's own object.
        special: The named special tokens' texts.
        load_whole: Returns transformers' object, for chat templates and for a user's own model.
        cuts_before_spaces: See ``tokenizer_cuts``.
    """

    in_threads = True

    def __init__(
        self,
        tokenizer: Any,
        special: Mapping[str, str],
        load_whole: Callable[[], Any],
        *,
        cuts_before_spaces: bool = False,
    ) -> None:
        # As transformers: whatever length the file says, no text is cut or filled up.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._load_whole = load_whole
        self._loading = threading.Lock()
        self._whole: Any = None
        self.cuts_before_spaces = cuts_before_spaces
        self.eos_token = special.get("eos_token")
        self.eos_token_id = self._id(self.eos_token)
        self.bos_token_id = self._id(special.get("bos_token"))

    @property
    def raw(self) -> Any:
        """The tokenizer of transformers, which takes seconds to load."""
        with self._loading:
            if self._whole is None:
                self._whole = self._load_whole()
            return self._whole

    @property
    def is_whole(self) -> bool:
        """Whether ``raw`` is loaded."""
        return self._whole is not None

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Return the tokens of a text."""
        # In a batch of one, which is not asked where in the text each token is.
        (found,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=add_special_tokens)
        tokens: list[int] = found.ids
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones included."""
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=False)
        return text

    def _id(self, token: str | None) -> int | None:
        found: int | None = None if token is None else self._tokenizer.token_to_id(token)
        return found


def read_tokenizer(folder: Path, load_whole: Callable[[], Any]) -> FileTokenizer | None:
    """Return the tokenizer in a folder, None where only transformers can tell what it is.

    Args:
        folder: Holds ``tokenizer.json``, ``tokenizer_config.json`` and perhaps ``config.json``.
        load_whole: Returns it as transformers loads it.
    """
    try:
        settings = _json(folder / "tokenizer_config.json")
        model = _json(folder / "config.json") if (folder / "config.json").exists() else {}
        file = _json(folder / "tokenizer.json")
        if not _is_generic(settings, model):
            return None
        special = _special_tokens(settings, file, folder)
        cuts = cuts_before_spaces(file)
        library = importlib.import_module("tokenizers")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ImportError):
        return None  # transformers tells what is wrong with it
    if special is None:
        return None
    try:
        tokenizer = library.Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the Rust library raises nothing narrower; transformers tells the reason
        return None
    return FileTokenizer(tokenizer, special, load_whole, cuts_before_spaces=cuts)


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise TypeError(path)
    return found


def _is_generic(settings: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    """Whether transformers would use its generic class, and change nothing in it."""
    if settings.get("tokenizer_class") not in _GENERIC:
        return False
    if model and model.get("model_type") not in KEPT_GENERIC:
        return False
    if any(isinstance(settings.get(name) or [], dict) for name in _FURTHER):
        return False
    known = {*_WITHOUT_EFFECT, *_SPECIAL, *_FURTHER, "clean_up_tokenization_spaces"}
    return known.issuperset(settings) and not settings.get("clean_up_tokenization_spaces")


def _special_tokens(
    settings: Mapping[str, Any], file: Mapping[str, Any], folder: Path
) -> dict[str, str] | None:
    """Return the named special tokens; None if transformers would add a token or change one."""
    in_file = {str(entry["id"]): _flags(entry) for entry in file["added_tokens"]}
    listed = settings.get("added_tokens_decoder")
    if listed is None and any((folder / name).exists() for name in _ADDED_ELSEWHERE):
        return None
    if any(in_file.get(number) != _flags(token) for number, token in (listed or {}).items()):
        return None
    by_text = {flags["content"]: flags for flags in in_file.values()}
    named = {name: settings[name] for name in _SPECIAL if settings.get(name) is not None}
    further = [token for name in _FURTHER for token in settings.get(name) or []]
    if not all(_is_known(token, by_text) for token in (*named.values(), *further)):
        return None
    return {name: _text(token) for name, token in named.items()}


def _is_known(token: Any, by_text: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a special token of the folder is one in the file."""
    flags = by_text.get(_text(token))
    if flags is None or not flags["special"] or flags["normalized"]:
        return False
    if isinstance(token, str):
        return True
    return token.get("__type") == "AddedToken" and _flags({"special": True, **token}) == flags


def _text(token: Any) -> str:
    text: str = token if isinstance(token, str) else token["content"]
    return text


def _flags(token: Mapping[str, Any]) -> dict[str, Any]:
    return {name: token[name] for name in _FLAGS}
