"""Checkpoints with random weights, small enough to be made within a test."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer, Tokenizer, decoders, models, processors

hf: Any = transformers  # its types are for its own use only

SIZE = 32
PATCH = 8
WIDTH = 32
CONTEXT = 128
TEXT_CONTEXT = 96
TEXTS = (
    "The quick brown fox jumps over the lazy dog, and the dog does not mind at all.",
    "Question: What is the capital of France? Answer: Paris. Question: And Japan? Answer: Tokyo.",
    "the there then them these those this that than thank; in on an and end; is as us; er or ar",
)
SPECIAL = ("<pad>", "<unk>", "<s>", "<|user|>", "<|assistant|>", "<|end|>", "<image>")

CHAT_TEMPLATE = """\
{{- '<s>' -}}
{%- for message in messages -%}
  {{- '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' -}}
  {%- for part in message['content'] -%}
    {{- '<image>' if part['type'] == 'image' else part['text'] -}}
  {%- endfor -%}
  {{- '<|end|>' if not loop.last or message['role'] != 'assistant' -}}
{%- endfor -%}
{{- '<|assistant|>' if add_generation_prompt -}}
"""


def save_tiny_llava(folder: Path, seed: int = 0) -> Path:
    """Save an untrained LLaVA (CLIP and Llama, two layers each) that reads any text and image."""
    tokenizer = _tokenizer()
    vision = hf.CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=PATCH,
        projection_dim=WIDTH,
    )
    text = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,  # else every answer is the same token again and again
    )
    config = hf.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=(SIZE // PATCH) ** 2,
    )
    torch.manual_seed(seed)
    model = hf.LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    # What a checkpoint may suggest for sampling must not leak into greedy answers.
    model.generation_config.temperature = 0.6
    model.generation_config.top_p = 0.9
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    _processor(tokenizer).save_pretrained(folder)
    return folder


def _tokenizer() -> Any:
    """Return a tokenizer with one token for each printable character."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *string.printable])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="<|end|>",
        additional_special_tokens=["<|user|>", "<|assistant|>", "<image>"],
        model_max_length=CONTEXT,
    )


def _processor(tokenizer: Any) -> Any:
    images = hf.CLIPImageProcessorPil(size={"height": SIZE, "width": SIZE}, do_center_crop=False)
    return hf.LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=CHAT_TEMPLATE,
    )


def save_tiny_llama(folder: Path, *, adds_bos: bool = False, seed: int = 0) -> Path:
    """Save an untrained Llama of two layers with a byte-level BPE that reads any text.

    Args:
        folder: Where to.
        adds_bos: Whether the tokenizer puts a BOS token before every text, as Llama's does.
        seed: Of the weights.
    """
    tokenizer = _byte_level_tokenizer(adds_bos=adds_bos)
    config = hf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=TEXT_CONTEXT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.5,  # else every answer is the same token again and again
    )
    torch.manual_seed(seed)
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _byte_level_tokenizer(*, adds_bos: bool) -> Any:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        TEXTS, vocab_size=330, min_frequency=2, special_tokens=["<s>", "</s>"], show_progress=False
    )
    backend = trained._tokenizer  # the class has no public name for it
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
        )
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", model_max_length=TEXT_CONTEXT
    )
