"""``hf`` scores continuations and documents as lm-eval's ``hf`` does, whatever shares a batch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from checkpoints import TEXT_CONTEXT, TEXTS, save_tiny_llama
from hf_peer import Peer, documents, failures, running, scoring

from pytest_lmmeval.records import Response

# Tokens times the last digit of a float32 of their size: what another width of padding moves.
PADDING = 1e-4
WORDS = " ".join(TEXTS).split()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adding_bos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny", adds_bos=True)


@pytest.fixture(params=["checkpoint", "adding_bos"])
def either(request: pytest.FixtureRequest) -> Path:
    """Return a checkpoint whose tokenizer adds no BOS token, then one whose tokenizer does."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def pairs() -> list[tuple[str, str]]:
    """Return contexts of 1 to 80 words, with and without white space at the end, and odd ones."""
    rng = random.Random(0)
    found = [
        ("", " Paris"),
        ("", "<s> Paris"),
        ("  ", "Paris"),
        ("\n", " Paris"),
        ("Ünïcödé 東京", " 🦊 fox"),
        ("東", "京"),
        ("<s>The quick", " brown"),
    ]
    for count in (1, 2, 5, 13, 34, 60, 80):
        context = " ".join(rng.choices(WORDS, k=count))
        found += [(context, " yes"), (context, " no, it is not"), (context + "\n\n", " yes")]
        found += [(context + " ", "the"), (context, " Ünïcödé 東京 🦊")]
    return found


def assert_same(ours: Sequence[Response], theirs: Sequence[tuple[float, bool]], by: float) -> None:
    assert not failures(ours)
    assert [r.is_greedy for r in ours] == [greedy for _, greedy in theirs]
    assert [r.logprob for r in ours] == pytest.approx([score for score, _ in theirs], abs=by, rel=0)


@pytest.mark.parametrize("add_bos_token", [None, True, False])
@pytest.mark.parametrize("batch_size", [1, 3, 8, "auto"])
def test_continuations_score_as_in_lm_eval(
    either: Path, batch_size: int | str, add_bos_token: bool | None
) -> None:
    arguments: dict[str, Any] = {"batch_size": batch_size, "max_batch_size": 16}
    if add_bos_token is not None:
        arguments["add_bos_token"] = add_bos_token
    asked = [pair for pair in pairs() if pair[0].strip()]
    with running(either, **arguments) as model:
        ours = model.loglikelihood(scoring(*asked))
    assert_same(ours, Peer(either, **arguments).loglikelihood(asked), by=1e-6)


def test_an_empty_context_is_the_prefix_token_as_in_lm_eval(either: Path) -> None:
    asked = [pair for pair in pairs() if not pair[0]]
    for arguments in ({}, {"prefix_token_id": 5}):
        with running(either, **arguments) as model:
            ours = model.loglikelihood(scoring(*asked))
        assert_same(ours, Peer(either, **arguments).loglikelihood(asked), by=1e-6)


def test_a_context_of_white_space_is_scored(checkpoint: Path) -> None:
    """lm-eval stops with an assertion unless the tokenizer adds a BOS token."""
    with running(checkpoint, add_bos_token=False) as model:
        blank, none = model.loglikelihood(scoring(("\n", " Paris"), ("", "\n Paris")))
    assert blank.logprob == none.logprob


@pytest.mark.parametrize("batch_size", [3, 8, "auto:3"])
def test_a_batch_moves_a_score_by_padding_noise_only(
    checkpoint: Path, batch_size: int | str
) -> None:
    with running(checkpoint, batch_size=1) as model:
        alone = model.loglikelihood(scoring(*pairs()))
    with running(checkpoint, batch_size=batch_size, max_batch_size=16) as model:
        together = model.loglikelihood(scoring(*pairs()))
    assert_same(together, [(r.logprob or 0.0, bool(r.is_greedy)) for r in alone], by=PADDING)


def test_requests_with_equal_inputs_share_a_forward_pass(checkpoint: Path) -> None:
    asked = [("The quick", f" {letter}") for letter in "abcdefgh"]
    # Equal inputs that are split elsewhere: lm-eval scores the second as if it began earlier.
    asked += [("The quick brown", " fox"), ("The quick", " brown fox")]
    rows = []
    loaded = load(checkpoint)
    loaded.register_forward_pre_hook(lambda _module, given: rows.append(given[0].shape[0]))
    with running(loaded, tokenizer=str(checkpoint), batch_size=32) as model:
        shared = model.loglikelihood(scoring(*asked))
    assert sum(rows) < len(asked)
    with running(checkpoint, batch_size=32, logits_cache=False) as model:
        apart = model.loglikelihood(scoring(*asked))
    assert_same(shared, [(r.logprob or 0.0, bool(r.is_greedy)) for r in apart], by=PADDING)


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
def test_documents_score_as_in_lm_eval(either: Path, batch_size: int | str) -> None:
    rng = random.Random(1)
    texts = ["short", *(" ".join(rng.sample(WORDS, k=len(WORDS))) for _ in range(4))]
    arguments = {"batch_size": batch_size, "max_batch_size": 16}
    with running(either, **arguments) as model:
        ours = model.loglikelihood_rolling(documents(*texts))
    theirs = Peer(either, **arguments).rolling(texts)
    assert [r.logprob for r in ours] == pytest.approx(theirs, rel=1e-7)


def test_documents_with_equal_windows_score_as_when_alone(checkpoint: Path) -> None:
    """lm-eval takes the wrong positions of a shared forward pass here; alone it is right."""
    texts = [" ".join(WORDS * times) for times in (1, 2, 5)]
    with running(checkpoint, batch_size=16) as model:
        ours = model.loglikelihood_rolling(documents(*texts))
    alone = [Peer(checkpoint, batch_size=1).rolling([text])[0] for text in texts]
    assert [r.logprob for r in ours] == pytest.approx(alone, rel=1e-6)


def test_an_empty_document_scores_nothing(checkpoint: Path) -> None:
    with running(checkpoint, add_bos_token=False) as model:
        assert [r.logprob for r in model.loglikelihood_rolling(documents(""))] == [0.0]


def test_a_long_context_is_cut_at_its_start_and_counted(checkpoint: Path) -> None:
    tokenizer: Any = transformers.AutoTokenizer
    count = len(tokenizer.from_pretrained(checkpoint)(" ".join(WORDS * 3) + " fox").input_ids)
    asked = scoring((" ".join(WORDS * 3), " fox"), ("The quick", " fox"))
    with running(checkpoint) as model:
        long, short = model.loglikelihood(asked)
    # The last token is predicted, not read.
    assert long.truncated == count - (TEXT_CONTEXT + 1)
    assert short.truncated is None
    with running(checkpoint, truncation="skip") as model:
        long, short = model.loglikelihood(asked)
    assert (long.logprob, long.failure, short.is_answered) == (None, None, True)
    for truncation in ("error", False):
        with running(checkpoint, truncation=truncation) as model:
            long, short = model.loglikelihood(asked)
        assert failures([long]) == [f"the prompt has {count} tokens, the model takes 97"]
        assert short.is_answered


def test_max_length_sets_what_the_model_reads(checkpoint: Path) -> None:
    asked = [pair for pair in pairs() if len(pair[0]) > 100]
    with running(checkpoint, max_length=40) as model:
        ours = model.loglikelihood(scoring(*asked))
        assert model.identity()["max_length"] == "40"
    assert_same(ours, Peer(checkpoint, max_length=40).loglikelihood(asked), by=1e-6)


def test_what_cannot_be_scored_fails_alone(checkpoint: Path) -> None:
    with running(checkpoint) as model:
        empty, long, fine = model.loglikelihood(
            scoring(("The", ""), ("The", " fox" * 100), ("The", " fox"))
        )
    assert failures([empty]) == ["the continuation '' has no token of its own to score"]
    assert "the model reads 96" in failures([long])[0]
    assert fine.is_answered


def test_nan_is_a_failure_and_no_score(checkpoint: Path) -> None:
    broken = load(checkpoint)
    with torch.no_grad():
        broken.lm_head.weight.fill_(float("nan"))
    with running(broken, tokenizer=str(checkpoint)) as model:
        scored = model.loglikelihood(scoring(("The", " fox")))
        rolled = model.loglikelihood_rolling(documents("The fox"))
    assert failures(scored) == ["the model's log-probabilities are not numbers (NaN)"]
    assert failures(rolled) == failures(scored)


def test_a_batch_that_is_too_large_is_halved(checkpoint: Path) -> None:
    def out_of_memory_from(rows: int) -> Any:
        loaded = load(checkpoint)

        def run_out(_module: Any, given: Any) -> None:
            if given[0].shape[0] >= rows:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB.")

        loaded.register_forward_pre_hook(run_out)
        return loaded

    asked = scoring(*pairs())
    with running(checkpoint, batch_size=2) as model:
        expected = [r.logprob for r in model.loglikelihood(asked)]
    with running(out_of_memory_from(3), tokenizer=str(checkpoint), batch_size="auto") as model:
        halved = model.loglikelihood(asked)
    assert [r.logprob for r in halved] == pytest.approx(expected, abs=PADDING)
    with running(out_of_memory_from(1), tokenizer=str(checkpoint), batch_size=8) as model:
        alone = model.loglikelihood(asked[:3])
    assert all("out of memory for a single request of" in text for text in failures(alone))
    assert len(failures(alone)) == 3


@pytest.mark.parametrize("arguments", [{"softmax_dtype": "float64"}, {"dtype": "bfloat16"}])
def test_precision_is_as_in_lm_eval(checkpoint: Path, arguments: dict[str, str]) -> None:
    asked = pairs()[6:20]
    with running(checkpoint, **arguments) as model:
        ours = model.loglikelihood(scoring(*asked))
    peer = Peer(checkpoint, **arguments)
    assert_same(ours, peer.loglikelihood(asked), by=1e-6)


def test_mixed_precision_is_as_in_lm_eval(checkpoint: Path) -> None:
    asked = pairs()[6:20]
    with running(checkpoint, mixed_precision_dtype="bfloat16") as model:
        ours = model.loglikelihood(scoring(*asked))
    theirs = Peer(checkpoint, mixed_precision_dtype="bfloat16").loglikelihood(asked)
    assert_same(ours, theirs, by=1e-6)


def load(checkpoint: Path) -> Any:
    """Return the checkpoint as transformers loads it."""
    llama: Any = transformers.LlamaForCausalLM
    return llama.from_pretrained(checkpoint, dtype=torch.float32)
