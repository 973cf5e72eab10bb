"""Corpus metrics of translations: BLEU, chrF, chrF++ and TER, all from 0 to 100 (TER: and more).

sacrebleu computes them, with its own defaults, as for the peers. A resample of docs needs the sums
of what sacrebleu counts in each doc and not the texts, so the counts are taken once.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats: TypeAlias = npt.NDArray[np.float64]

CORPUS_METRICS = ("bleu", "chrf", "chrf++", "ter")


def is_installed() -> bool:
    """Whether sacrebleu is there, told without importing it."""
    return importlib.util.find_spec("sacrebleu") is not None


@functools.cache
def _metric(name: str) -> Any:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if name == "chrf++":
        return CHRF(word_order=2)
    return {"bleu": BLEU, "chrf": CHRF, "ter": TER}[name]()


def corpus_score(name: str, items: Sequence[Any], *, fewest: bool = False) -> float:
    """Return a metric over all docs.

    Args:
        name: One of ``CORPUS_METRICS``.
        items: Per doc its (reference, prediction); several references are a list, and there must be
            as many for every doc.
        fewest: Takes as many references as the doc with the fewest has, and drops the others, as
            the peers do.

    Raises:
        ValueError: Docs have different numbers of references, or a doc several predictions.
        TypeError: A prediction or reference is no text.
    """
    predictions, references = _columns(items, fewest)
    return float(_metric(name).corpus_score(predictions, references).score)


def statistics(name: str, items: Sequence[Any], *, fewest: bool = False) -> Floats:
    """Return what is counted in each doc, one row per doc; arguments as for ``corpus_score``."""
    # Deferred: NumPy takes a run that has no such metric 60 ms.
    import numpy as np

    predictions, references = _columns(items, fewest)
    # Not public, but where sacrebleu's own bootstrap starts; `metrics` in pyproject.toml says up to
    # which version it is known to be there.
    return np.array(_metric(name)._extract_corpus_statistics(predictions, references), dtype=float)


def resampled_scores(name: str, counts: Floats) -> Floats:
    """Return the metric of each resample.

    Args:
        name: One of ``CORPUS_METRICS``.
        counts: Rows of ``statistics``, of shape (resamples, docs, counts).
    """
    import numpy as np  # deferred, as above

    metric = _metric(name)
    sums = counts.sum(axis=1).tolist()
    return np.array([metric._compute_score_from_stats(row).score for row in sums])


def resampled_score(name: str, rows: Sequence[Sequence[float]]) -> float:
    """Return the metric of docs, given their rows of ``statistics``."""
    import numpy as np  # deferred, as above

    return float(resampled_scores(name, np.array([rows], dtype=float))[0])


def _columns(items: Sequence[Any], fewest: bool) -> tuple[list[str], list[list[str]]]:
    """Return predictions, and as many columns of references as each doc has."""
    references = [_listed(reference) for reference, _ in items]
    predictions = []
    for _, prediction in items:
        if len(texts := _listed(prediction)) != 1:
            raise ValueError(f"a doc has {len(texts)} predictions, expected one")
        predictions.append(texts[0])
    if len({len(texts) for texts in references}) > 1 and not fewest:
        raise ValueError("docs have different numbers of references")
    return predictions, [list(column) for column in zip(*references, strict=not fewest)]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
