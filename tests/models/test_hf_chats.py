"""``hf`` renders messages through the tokenizer's chat template as lm-eval does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from checkpoints import save_tiny_llama
from hf_peer import Peer, failures, prompts, running, scoring

from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import ImagePart, Message, TextPart
from pytest_lmmeval.warnings import LmmWarning

TEMPLATE = """\
{{- bos_token -}}
{%- for message in messages -%}
  {%- if message['role'] == 'system' and strict is defined -%}
    {{- raise_exception('System role not supported') -}}
  {%- endif -%}
  {{- '[' + message['role'] + '] ' + message['content'] + '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '[assistant] ' -}}{%- endif -%}
{%- if enable_thinking is defined and not enable_thinking -%}{{- '<quiet>' -}}{%- endif -%}
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_llama(tmp_path_factory.mktemp("models") / "chat", adds_bos=True)
    hf: Any = transformers
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def chat(*turns: tuple[Any, str]) -> tuple[Message, ...]:
    return tuple(Message(role, (TextPart(text),)) for role, text in turns)


def turns(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.text} for message in messages]


QUESTION = chat(("system", "Be brief."), ("user", "The capital of France?"))
BEGUN = (*QUESTION, *chat(("assistant", "Answer:")))


@pytest.mark.parametrize("messages", [QUESTION, BEGUN], ids=["question", "begun"])
def test_a_chat_is_rendered_and_scored_as_in_lm_eval(
    checkpoint: Path, messages: tuple[Message, ...]
) -> None:
    peer = Peer(checkpoint)
    prompt = peer.chat_prompt(turns(messages), opens_turn=messages is QUESTION)
    with running(checkpoint) as model:
        (score,) = model.loglikelihood(scoring((messages, " Paris")))
        (answer,) = model.generate_until(prompts(messages, max_gen_toks=8))
    assert score.logprob == pytest.approx(peer.loglikelihood([(prompt, " Paris")])[0][0], abs=1e-6)
    assert answer.text == peer.generate([prompt], {"max_gen_toks": 8})[0]


def test_a_rendered_chat_has_one_bos_token(checkpoint: Path) -> None:
    peer = Peer(checkpoint)
    prompt = peer.chat_prompt(turns(QUESTION), opens_turn=True)
    hf: Any = transformers
    tokenizer = hf.AutoTokenizer.from_pretrained(checkpoint)
    expected = len(tokenizer(prompt, add_special_tokens=False).input_ids)
    assert len(tokenizer(prompt).input_ids) == expected + 1
    with running(checkpoint) as model:
        (answer,) = model.generate_until(prompts(QUESTION, max_gen_toks=2))
    assert answer.usage["prompt_tokens"] == expected


def test_a_template_without_system_messages_gets_none_and_it_is_said(checkpoint: Path) -> None:
    peer = Peer(checkpoint)
    without = peer.chat_prompt(turns(QUESTION[1:]), opens_turn=True)
    with running(checkpoint, chat_template_args={"strict": True}) as model:
        with pytest.warns(LmmWarning, match="no system message, it is dropped: System role"):
            (score,) = model.loglikelihood(scoring((QUESTION, " Paris")))
        model.loglikelihood(scoring((QUESTION, " Paris")))  # said once
    assert score.logprob == pytest.approx(peer.loglikelihood([(without, " Paris")])[0][0], abs=1e-6)


def test_arguments_reach_the_template_and_the_identity(checkpoint: Path) -> None:
    with running(checkpoint) as model:
        (plain,) = model.generate_until(prompts(QUESTION, max_gen_toks=2))
        assert "chat_template" in model.identity()
    with running(checkpoint, enable_thinking=False) as model:
        (quiet,) = model.generate_until(prompts(QUESTION, max_gen_toks=2))
        assert model.identity()["enable_thinking"] == "False"
    assert quiet.usage["prompt_tokens"] > plain.usage["prompt_tokens"]


def test_a_template_is_taken_by_name_or_from_a_file(checkpoint: Path, tmp_path: Path) -> None:
    hf: Any = transformers
    tokenizer = hf.AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.chat_template = {"short": "{{ messages[-1]['content'] }}", "long": TEMPLATE}
    file = tmp_path / "short.jinja"
    file.write_text(tokenizer.chat_template["short"], encoding="utf-8")
    used = {}
    for template in ("short", str(file), "long"):
        with running(checkpoint, tokenizer=tokenizer, chat_template=template) as model:
            (answer,) = model.generate_until(prompts(QUESTION, max_gen_toks=2))
            used[template] = answer.usage["prompt_tokens"]
    assert used["short"] == used[str(file)] < used["long"]
    with (
        pytest.raises(ModelUnavailable, match="several chat templates and no default"),
        running(checkpoint, tokenizer=tokenizer),
    ):
        pass
    with (
        pytest.raises(ModelUnavailable, match=r"neither a template .*Did you mean 'short'\?"),
        running(checkpoint, tokenizer=tokenizer, chat_template="shrt"),
    ):
        pass


def test_messages_that_cannot_be_rendered_fail_alone(checkpoint: Path) -> None:
    image = (Message("user", (ImagePart(b""), TextPart("What is this?"))),)
    with running(checkpoint, chat_template_args={"strict": True}) as model:
        shown, system, plain = model.generate_until(
            prompts(image, QUESTION[:1], "The", max_gen_toks=2)
        )
    assert failures([shown]) == ["this model reads text only; hf_vision reads images too"]
    assert "System role not supported" in failures([system])[0]
    assert plain.is_answered


def test_without_a_template_a_chat_fails_with_what_to_give(tmp_path: Path) -> None:
    with running(save_tiny_llama(tmp_path / "plain")) as model:
        answers = model.generate_until(prompts(QUESTION, max_gen_toks=2))
    assert failures(answers) == ["the tokenizer has no chat template; give chat_template=FILE"]


def test_thinking_is_for_generation_and_needs_its_end() -> None:
    with pytest.raises(UsageError, match="enable_thinking=true needs think_end_token"):
        create_model("hf", "pretrained=p,enable_thinking=true")
    model = create_model("hf", "pretrained=p,enable_thinking=true,think_end_token=</think>")
    with pytest.raises(Exception, match="answers generation requests only"):
        model.loglikelihood(scoring(("The", " fox")))


def test_apply_chat_template_asks_tasks_for_messages() -> None:
    assert not create_model("hf", "pretrained=p").chat
    assert create_model("hf", "pretrained=p,apply_chat_template=true").chat
