"""A LLaVA small enough to live in a repository: tokenizer, processor and untrained model."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

IMAGE_SIZE = 64
IMAGE_MEAN = 0.9  # about the mean of easy-VQA, whose shapes are small and backgrounds pale
IMAGE_STD = 0.3
PATCH_SIZE = 16
VISION_WIDTH = 128
VISION_LAYERS = 3
TEXT_WIDTH = 64
TEXT_LAYERS = 2
HEAD_WIDTH = 32  # the smallest that the attention kernels of common inference servers take
INITIALIZER_RANGE = 0.1  # the usual 0.02 suits models that are far wider
CONTEXT_LENGTH = 512
VOCABULARY_SIZE = 512
MAX_NEW_TOKENS = 8

PAD, UNKNOWN, USER, ASSISTANT, END, IMAGE = SPECIAL_TOKENS = (
    "<pad>",
    "<unk>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<image>",
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
  {{- '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' -}}
  {%- if message['content'] is string -%}
    {{- message['content'] -}}
  {%- else -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] in ['image', 'image_url'] -%}
        {{- '<image>' -}}
      {%- elif part['type'] == 'text' -%}
        {{- part['text'] -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
  {%- if message['role'] == 'assistant' -%}
    {{- '<|end|>' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|assistant|>' -}}
{%- endif -%}
"""


def build_processor(corpus: Iterable[str]) -> LlavaProcessor:
    """Return a processor whose vocabulary is learnt from `corpus`.

    The PIL image processor keeps torchvision out of the requirements. Padding is on the left, as
    batched generation needs it.
    """
    image_processor = CLIPImageProcessorPil(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        do_center_crop=False,
        image_mean=[IMAGE_MEAN] * 3,
        image_std=[IMAGE_STD] * 3,
    )
    return LlavaProcessor(
        image_processor=image_processor,
        tokenizer=_build_tokenizer(corpus),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token of CLIP, which "default" drops again
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def _build_tokenizer(corpus: Iterable[str]) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE: few tokens for the words of `corpus`, yet any text can be encoded."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT, IMAGE],
        padding_side="left",
        model_max_length=CONTEXT_LENGTH,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    """Return a randomly initialised model for `tokenizer` that decodes greedily by default."""
    vision = CLIPVisionConfig(
        hidden_size=VISION_WIDTH,
        intermediate_size=2 * VISION_WIDTH,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=VISION_WIDTH // HEAD_WIDTH,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=VISION_WIDTH,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=TEXT_WIDTH // HEAD_WIDTH,
        num_key_value_heads=TEXT_WIDTH // HEAD_WIDTH,
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.get_vocab()[IMAGE],
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
    )
    return model
