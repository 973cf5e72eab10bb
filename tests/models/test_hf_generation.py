"""``hf`` generates what lm-eval's ``hf`` does, whatever shares a batch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from checkpoints import TEXT_CONTEXT, TEXTS, save_tiny_llama
from hf_peer import Peer, failures, prompts, running

from pytest_lmmeval.models.local.huggingface import HFText
from pytest_lmmeval.records import Response

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


def contexts() -> list[str]:
    """Return prompts of 1 to 40 words, some with characters of several bytes."""
    rng = random.Random(0)
    found = [" ".join(rng.choices(WORDS, k=count)) for count in (1, 2, 3, 5, 8, 13, 21, 40)]
    return [*found, "Ünïcödé 東京 🦊", "The quick brown "]


def answered(model: HFText, asked: Sequence[str], max_gen_toks: int) -> list[str]:
    """Return the greedy answers to prompts."""
    responses = model.generate_until(prompts(*asked, max_gen_toks=max_gen_toks))
    return [text or "" for text in texts(responses)]


def tokenizer_of(checkpoint: Path) -> Any:
    """Return a checkpoint's tokenizer, as transformers loads it."""
    hf: Any = transformers
    return hf.AutoTokenizer.from_pretrained(checkpoint)


def texts(responses: list[Response]) -> list[str | None]:
    assert not failures(responses)
    return [response.text for response in responses]


@pytest.mark.parametrize("batch_size", [1, 3, 8, "auto"])
@pytest.mark.parametrize(
    "gen_kwargs",
    [
        {"max_gen_toks": 16},
        {"max_gen_toks": 24, "until": ["e", "\n\n"]},
        {"max_gen_toks": 12, "until": "Question:"},
        {"max_gen_toks": 12, "repetition_penalty": 1.3, "do_sample": False},
    ],
    ids=["no-stop", "stops", "long-stop", "penalty"],
)
def test_answers_are_those_of_lm_eval(
    either: Path, batch_size: int | str, gen_kwargs: dict[str, Any]
) -> None:
    arguments = {"batch_size": batch_size, "max_batch_size": 16}
    with running(either, **arguments) as model:
        ours = model.generate_until(prompts(*contexts(), **gen_kwargs))
    assert texts(ours) == Peer(either, **arguments).generate(contexts(), gen_kwargs)


def test_beams_are_those_of_lm_eval(checkpoint: Path) -> None:
    """Of a batch of one lm-eval ends the search when its first beam does."""
    gen_kwargs = {"max_gen_toks": 8, "num_beams": 2}
    with running(checkpoint, batch_size=3) as model:
        ours = model.generate_until(prompts(*contexts(), **gen_kwargs))
    assert texts(ours) == Peer(checkpoint, batch_size=3).generate(contexts(), gen_kwargs)


@pytest.mark.parametrize("length", [2, 3, 5, 9])
def test_an_answer_ends_before_a_stop_however_many_tokens_it_is(
    checkpoint: Path, length: int
) -> None:
    asked = contexts()
    with running(checkpoint, batch_size=8) as model:
        full = answered(model, asked, 24)
        longest = max(range(len(full)), key=lambda index: len(full[index]))
        stop = full[longest][8 : 8 + length]
        cut = model.generate_until(prompts(*asked, max_gen_toks=24, until=[stop]))
    assert texts(cut) == [text.split(stop)[0] for text in full]
    assert cut[longest].finish_reason == "stop"
    assert cut[longest].usage["completion_tokens"] < 24


def test_a_special_token_stops_as_its_text(checkpoint: Path) -> None:
    """lm-eval ends there too, but goes on with what follows when others in the batch do."""
    with running(checkpoint, batch_size=8) as model:
        answers = model.generate_until(prompts(*contexts(), max_gen_toks=60, until=["<s>"]))
    alone = Peer(checkpoint, batch_size=1).generate(
        contexts(), {"max_gen_toks": 60, "until": ["<s>"]}
    )
    assert texts(answers) == alone


def test_the_reason_for_the_end_and_token_counts_are_told(checkpoint: Path) -> None:
    with running(checkpoint) as model:
        (answer,) = model.generate_until(prompts("The quick", max_gen_toks=3))
    assert answer.finish_reason == "length"
    prompt = len(tokenizer_of(checkpoint)("The quick").input_ids)
    assert answer.usage == {"prompt_tokens": prompt, "completion_tokens": 3}
    assert answer.latency > 0


def test_a_long_prompt_is_cut_at_its_start_as_in_lm_eval_and_counted(either: Path) -> None:
    asked = [" ".join(WORDS * 3), "The quick"]
    with running(either, batch_size=2) as model:
        ours = model.generate_until(prompts(*asked, max_gen_toks=20))
    assert texts(ours) == Peer(either, batch_size=2).generate(asked, {"max_gen_toks": 20})
    assert [bool(answer.truncated) for answer in ours] == [True, False]
    assert ours[0].usage["prompt_tokens"] == TEXT_CONTEXT - 20
    with running(either, truncation="skip") as model:
        skipped = model.generate_until(prompts(*asked, max_gen_toks=20))
    assert [answer.is_answered for answer in skipped] == [False, True]
    assert skipped[0].truncated == ours[0].truncated


def test_a_prompt_without_room_fails(checkpoint: Path) -> None:
    with running(checkpoint) as model:
        answers = model.generate_until(prompts("The", max_gen_toks=TEXT_CONTEXT))
    assert "leave no room for a prompt in a context of 96" in failures(answers)[0]


def test_an_empty_prompt_begins_with_the_prefix_token(checkpoint: Path) -> None:
    with running(checkpoint, add_bos_token=False) as model:
        assert texts(model.generate_until(prompts("", "<s>", max_gen_toks=8)))[0]


def test_samples_differ_by_repeat_and_seed_and_come_again(checkpoint: Path) -> None:
    def sampled(repeat: int = 0, **changes: Any) -> list[str | None]:
        given = {"max_gen_toks": 16, "do_sample": True, "temperature": 1.5, **changes}
        with running(checkpoint, batch_size=8) as model:
            return texts(model.generate_until(prompts(*contexts(), repeat=repeat, **given)))

    assert sampled() == sampled()
    assert sampled() != sampled(repeat=1)
    assert sampled() != sampled(seed=7)
    assert sampled(do_sample=None) == sampled()
    assert sampled(top_k=1) == sampled(do_sample=False) == sampled(temperature=0)


def test_sampling_leaves_the_random_numbers_of_the_process_alone(checkpoint: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    with running(checkpoint) as model:
        model.generate_until(prompts("The", max_gen_toks=4, temperature=1.0))
    assert torch.rand(2).tolist() == expected


def test_the_answer_follows_the_last_end_of_thought(checkpoint: Path) -> None:
    asked = contexts()
    with running(checkpoint, batch_size=8) as model:
        full = answered(model, asked, 30)
    longest = max(range(len(full)), key=lambda index: len(full[index]))
    # No merge of the tokenizer holds one of these, so it is a token of its own.
    end = next(letter for letter in full[longest] if letter in "!#$%&*+-/<=>@[]^_`{|}~")
    token = tokenizer_of(checkpoint).convert_tokens_to_ids(end)
    for marker in (end, token):
        with running(checkpoint, think_end_token=marker) as model:
            ours = model.generate_until(prompts(*asked, max_gen_toks=30))
        theirs = Peer(checkpoint, think_end_token=marker)
        assert texts(ours) == theirs.generate(asked, {"max_gen_toks": 30})
        assert ours[longest].reasoning is not None


def test_a_stop_within_the_thoughts_stops_nothing(checkpoint: Path) -> None:
    """lm-eval ends there, without an answer."""
    with running(checkpoint, batch_size=8) as model:
        full = answered(model, contexts(), 30)
    longest = max(range(len(full)), key=lambda index: len(full[index]))
    text = full[longest]
    end, stop = text[20:23], text[4:6]
    with running(checkpoint, think_end_token=end) as model:
        asked = prompts(contexts()[longest], max_gen_toks=30, until=[stop])
        (answer,) = model.generate_until(asked)
    assert answer.text == text.rpartition(end)[2].lstrip().split(stop)[0]
    assert stop in (answer.reasoning or "")


@pytest.mark.parametrize(
    ("gen_kwargs", "message"),
    [
        ({"temprature": 1}, "Did you mean 'temperature'?"),
        ({"max_length": 100}, "max_length=100 cannot be sent to this model"),
        ({"stop": ["x"]}, "give the stops in 'stop' as 'until'"),
        ({"temperature": 1.0, "top_p": 3}, "top_p must be above 0 and at most 1, not 3"),
        ({"temperature": 1.0, "top_k": -3}, "top_k must be a number of tokens, 0 for all, not -3"),
        ({"repetition_penalty": -1.0}, "generation is refused: `penalty`"),
    ],
)
def test_an_argument_that_means_nothing_is_refused(
    checkpoint: Path, gen_kwargs: dict[str, Any], message: str
) -> None:
    with (
        running(checkpoint) as model,
        pytest.raises(Exception, match="client: ") as error,
    ):
        model.generate_until(prompts("The", **{"max_gen_toks": 4, **gen_kwargs}))
    assert message in str(error.value)


def test_nan_is_a_failure_and_no_answer(checkpoint: Path) -> None:
    llama: Any = transformers.LlamaForCausalLM
    broken = llama.from_pretrained(checkpoint)
    with torch.no_grad():
        broken.model.embed_tokens.weight[-1].fill_(float("nan"))
    tokenizer = tokenizer_of(checkpoint)
    last = tokenizer.decode([len(tokenizer) - 1])
    with running(broken, tokenizer=tokenizer, batch_size=2, add_bos_token=False) as model:
        fine, bad = model.generate_until(prompts("The", last, max_gen_toks=4))
    assert failures([bad]) == ["the model's logits are not numbers (NaN)"]
    assert fine.is_answered


def test_without_an_end_token_nothing_is_generated(checkpoint: Path) -> None:
    llama: Any = transformers.LlamaForCausalLM
    endless = llama.from_pretrained(checkpoint)
    endless.generation_config.eos_token_id = None
    tokenizer = tokenizer_of(checkpoint)
    tokenizer.eos_token = None
    with (
        running(endless, tokenizer=tokenizer) as model,
        pytest.raises(Exception, match=r"generation_config\.json names an EOS token"),
    ):
        model.generate_until(prompts("The", max_gen_toks=4))
