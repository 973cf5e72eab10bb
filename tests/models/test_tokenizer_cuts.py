"""A context is encoded once for its choices where that cannot change a token."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from pytest_lmmeval.models.encoding import TextEncoder
from pytest_lmmeval.models.endpoints.tokenizer_cuts import cuts_before_spaces
from pytest_lmmeval.models.endpoints.tokenizers import HuggingFaceTokenizer

_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA_3 = (
    rf"{_SHORT}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}"
    rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
QWEN_2 = LLAMA_3.replace("{1,3}", "")
QWEN_3_5 = QWEN_2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(
    r" ?[^\s\p{L}\p{N}]", r" ?[^\s\p{L}\p{M}\p{N}]"
)
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"{_LEAD}{_UPPER}*{_LOWER}+|{_LEAD}{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
O200K = (
    rf"{_LEAD}{_UPPER}*{_LOWER}+{_SHORT}?|{_LEAD}{_UPPER}+{_LOWER}*{_SHORT}?"
    rf"|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
)
WORDS = ["the", "Answer", "naïve", "1234", "e\u0301", "东京", "don't", "'S", "?", "!\n\n", "<s>"]
GAPS = [" ", "  ", "\n", "\t", "\u00a0", "", " \n ", "\u2028", "/"]


def trained(pre_tokenizer: Any, normalizer: Any = None, *added: AddedToken) -> Tokenizer:
    """Return a tokenizer with merges of its own, so that what is beside a letter matters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(random.Random(1), 200), trainer)
    tokenizer.add_tokens(list(added))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def texts(rng: random.Random, count: int) -> list[str]:
    pieces = [*WORDS, *GAPS, *GAPS]
    return ["".join(rng.choices(pieces, k=rng.randint(1, 12))) for _ in range(count)]


def split(pattern: str) -> Any:
    parts = pre_tokenizers.Split(Regex(pattern), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([parts, as_bytes])


def gpt_2(**settings: Any) -> Any:
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False} | settings)


class Coder:
    """A tokenizer as ``TextEncoder`` wants one, which notes what it is given."""

    bos_token_id = eos_token_id = 0

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.given: list[str] = []

    def encode(self, text: str, add_special_tokens: bool = False, verbose: bool = True) -> Any:
        self.given.append(text)
        return self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, tokens: list[int]) -> str:
        return "<s>"


@pytest.mark.parametrize(
    "make",
    [
        gpt_2,
        lambda: gpt_2(add_prefix_space=True),
        lambda: split(LLAMA_3),
        lambda: split(QWEN_2),
        lambda: split(QWEN_3_5),
        lambda: split(TEKKEN),
        lambda: split(O200K),
    ],
    ids=["gpt-2", "prefix", "llama-3", "qwen-2", "qwen-3.5", "tekken", "o200k"],
)
@pytest.mark.parametrize("normalizer", [None, normalizers.NFC()])
def test_tokens_of_a_choice_are_those_that_it_has_behind_its_context(
    make: Callable[[], Any], normalizer: Any
) -> None:
    tokenizer = trained(make(), normalizer)
    assert cuts_before_spaces(json.loads(tokenizer.to_str()))
    coder = Coder(tokenizer)
    encoder = TextEncoder(coder, add_bos_token=False, prefix_token_id=0, cuts_before_spaces=True)
    rng = random.Random(2)
    compared = 0
    for context, choice in zip(texts(rng, 800), texts(rng, 800), strict=True):
        before = tokenizer.encode(context.rstrip(), add_special_tokens=False).ids
        whole = tokenizer.encode(context + choice, add_special_tokens=False).ids
        if not context.rstrip() or len(whole) <= len(before):
            continue
        assert encoder.encode_pair(context, choice) == (before, whole[len(before) :])
        compared += 1
    assert compared > 600


def test_a_context_is_encoded_once_for_choices_that_begin_with_a_space() -> None:
    coder = Coder(trained(gpt_2()))
    encoder = TextEncoder(coder, add_bos_token=False, prefix_token_id=0, cuts_before_spaces=True)
    for choice in (" yes", " no", "yes"):
        encoder.encode_pair("Which? Answer:", choice)
    assert coder.given == ["Which? Answer:", " yes", " no", "Which? Answer:yes"]


def test_special_tokens_around_a_text_are_put_around_the_whole() -> None:
    coder = Coder(trained(gpt_2()))
    encoder = TextEncoder(coder, add_bos_token=True, prefix_token_id=0, cuts_before_spaces=True)
    encoder.encode_pair("Which? Answer:", " yes")
    assert coder.given == ["Which? Answer:", "Which? Answer: yes"]


@pytest.mark.parametrize(
    ("pre_tokenizer", "normalizer", "added"),
    [
        (pre_tokenizers.Metaspace(), None, ()),
        (pre_tokenizers.Whitespace(), None, ()),
        (gpt_2(use_regex=False), None, ()),
        (split(r"\S+ |\s+"), None, ()),
        (gpt_2(), normalizers.Strip(), ()),
        (gpt_2(), normalizers.Replace(": y", "#"), ()),
        (gpt_2(), None, (AddedToken("r: y"),)),
        (gpt_2(), None, (AddedToken("r:", rstrip=True),)),
        (gpt_2(), None, (AddedToken("r:", single_word=True),)),
    ],
)
def test_a_tokenizer_that_may_look_across_a_space_gets_whole_texts(
    pre_tokenizer: Any, normalizer: Any, added: tuple[AddedToken, ...]
) -> None:
    tokenizer = trained(pre_tokenizer, normalizer, *added)
    assert not cuts_before_spaces(json.loads(tokenizer.to_str()))


def test_a_tokenizer_with_chance_in_its_merges_gets_whole_texts() -> None:
    file = json.loads(trained(gpt_2()).to_str())
    file["model"]["dropout"] = 0.1
    assert not cuts_before_spaces(file)


def test_a_tokenizer_without_a_splitter_gets_whole_texts() -> None:
    file = json.loads(trained(gpt_2()).to_str())
    assert not cuts_before_spaces(file | {"pre_tokenizer": None})


def loaded(folder: Path, pattern: str) -> HuggingFaceTokenizer:
    """Return a tokenizer of a class of its own in transformers."""
    trained(split(pattern)).save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<s>", "unk_token": "<s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    return HuggingFaceTokenizer(str(folder), {})


def test_of_a_tokenizer_of_transformers_its_parts_tell(tmp_path: Path) -> None:
    tokenizer = loaded(tmp_path, QWEN_2)
    assert tokenizer.cuts_before_spaces
    parts = [tokenizer.encode(text, add_special_tokens=False) for text in ("Which?", " the one")]
    assert tokenizer.encode("Which? the one", add_special_tokens=False) == [*parts[0], *parts[1]]


def test_a_tokenizer_with_a_splitter_in_python_gets_whole_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loaded(tmp_path, QWEN_2).raw
    whole.backend_tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(object())
    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", lambda *_, **__: whole)
    monkeypatch.setattr(whole, "encode", lambda text: [])  # which that splitter cannot do
    assert not HuggingFaceTokenizer(str(tmp_path), {}).cuts_before_spaces
