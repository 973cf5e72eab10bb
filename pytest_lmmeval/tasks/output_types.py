"""What a task's ``output_type`` can be, and what it asks of the model."""

from __future__ import annotations

from typing import cast

from pytest_lmmeval.records import RequestType

# The types whose requests can be built and scored.
SUPPORTED = (
    "generate_until",
    "generate_until_multi_round",
    "multiple_choice",
    "loglikelihood",
    "loglikelihood_rolling",
)
# The others, and why not.
UNSUPPORTED = {
    "generate_until_agentic": "it lets the model call tools that run on this machine",
    "generate_visual_cot": "it needs a model that draws images between its texts",
}
# The metrics of each type that asks for likelihoods; other ones the peers leave out in silence.
LIKELIHOOD_METRICS = {
    "loglikelihood": ("acc", "perplexity"),
    "loglikelihood_rolling": ("bits_per_byte", "byte_perplexity", "word_perplexity"),
    "multiple_choice": (
        "acc",
        "acc_bytes",
        "acc_mutual_info",
        "acc_norm",
        "brier_score",
        "exact_match",
        "f1",
        "likelihood",
        "mcc",
    ),
}


def request_type(output_type: str) -> RequestType:
    """Return what a task of an output type asks of the model."""
    if output_type == "multiple_choice":
        return "loglikelihood"
    # To the model a later round is a request like any other.
    if output_type == "generate_until_multi_round":
        return "generate_until"
    return cast("RequestType", output_type)
