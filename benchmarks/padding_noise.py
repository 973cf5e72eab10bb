"""How far the batch size moves a log-likelihood of ``hf`` on a CPU in float32.

    python benchmarks/padding_noise.py CHECKPOINT

Scores 48 continuations after contexts of 3 to 90 words, first one by one, then in batches.
"""

from __future__ import annotations

import random
import sys

from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import Instance

TEXT = (
    "the quick brown fox jumps over a lazy dog while seven wise judges question every answer "
    "Paris Tokyo 東京 naïve café 42 3.14 however therefore"
)
WORDS = TEXT.split()
BATCH_SIZES = (2, 4, 8, 16)


def requests() -> list[Instance]:
    """Return the same requests every time."""
    rng = random.Random(0)
    found = []
    for doc_id in range(24):
        context = " ".join(rng.choices(WORDS, k=rng.randint(3, 90)))
        for idx in range(2):
            continuation = " " + " ".join(rng.choices(WORDS, k=rng.randint(1, 8)))
            found.append(Instance("noise", doc_id, idx, "loglikelihood", context, continuation))
    return found


def scores(checkpoint: str, batch_size: int) -> list[float]:
    """Return every request's log-likelihood, in nats."""
    arguments = {"pretrained": checkpoint, "dtype": "float32", "device": "cpu", "num_threads": 1}
    model = create_model("hf", {**arguments, "batch_size": batch_size})
    model.start()
    try:
        answers = model.loglikelihood(requests())
    finally:
        model.close()
    return [answer.logprob for answer in answers]  # type: ignore[union-attr, misc]  # hf returns responses with a score


def main() -> None:
    """Print the largest difference for each batch size."""
    alone = scores(sys.argv[1], 1)
    print(f"batch 1: {min(alone):.1f} to {max(alone):.1f} nats")
    for size in BATCH_SIZES:
        together = scores(sys.argv[1], size)
        largest = max(abs(a - b) for a, b in zip(alone, together, strict=True))
        print(f"batch {size}: largest difference {largest:.1e} nats")


if __name__ == "__main__":
    main()
