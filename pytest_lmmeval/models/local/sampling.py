"""Generation arguments as transformers' ``generate`` takes them."""

from __future__ import annotations

from typing import Any

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.generation import Generation, accepted_arguments
from pytest_lmmeval.records import Instance

# Those that mean the same for every model and leave one answer per prompt.
TRANSFORMERS = frozenset(
    {
        "bad_words_ids",
        "early_stopping",
        "epsilon_cutoff",
        "eta_cutoff",
        "exponential_decay_length_penalty",
        "length_penalty",
        "min_new_tokens",
        "min_p",
        "no_repeat_ngram_size",
        "num_beams",
        "renormalize_logits",
        "repetition_penalty",
        "seed",
        "suppress_tokens",
        "top_k",
        "top_p",
        "typical_p",
    }
)


def sampling_arguments(
    request: Instance, generation: Generation, accepted: frozenset[str] = TRANSFORMERS
) -> dict[str, Any]:
    """Return the arguments of ``generate`` for a request, and its ``seed`` if it has one.

    A temperature of 0 is greedy whatever ``do_sample`` says; lmms-eval goes by it alone. A task of
    lm-eval that samples and gives none gets the checkpoint's.

    Raises:
        RequestError: An argument is not in ``accepted``, or transformers would ignore its value.
    """
    samples = warm = generation.temperature > 0
    if request.dialect == "lm_eval" and generation.do_sample is not None:
        is_given = request.gen_kwargs.get("temperature") is not None
        samples = bool(generation.do_sample) and (warm or not is_given)
    arguments: dict[str, Any] = {"max_new_tokens": generation.max_tokens, "do_sample": samples}
    if samples and warm:
        arguments["temperature"] = generation.temperature
    arguments |= accepted_arguments(request, generation.extra, accepted)
    for name in ("top_p", "min_p"):
        share = arguments.get(name, 1)
        if not (isinstance(share, (int, float)) and 0 < share <= 1):
            raise RequestError("client", f"{name} must be above 0 and at most 1, not {share!r}")
    count = arguments.get("top_k", 0)
    if not (isinstance(count, int) and count >= 0):
        raise RequestError("client", f"top_k must be a number of tokens, 0 for all, not {count!r}")
    return arguments
