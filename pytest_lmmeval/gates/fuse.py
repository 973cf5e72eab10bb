"""The fuse: a drop that is certain before all docs are measured, however often one looks.

Three things make a bet (``betting``) hold for docs. They come in a random order that was fixed
beforehand (``dispatch_rank``), so that hard docs are not first and slow ones not last. Docs that
belong together (``cluster_key``) come together and are one bet. And a doc without an answer counts
as the best that it could have been.
"""

from __future__ import annotations

import hashlib
from typing import Final

from pytest_lmmeval.gates.betting import FEWEST_DOCS, Expectation, MeanBet

ALPHA: Final = 0.001
# A collapse of half of the docs. Above a cap of 0.85 a single gained doc undoes too many lost ones:
# it was chosen in benchmarks/gate_simulation.py's model, where a collapse trips soonest with it.
_COLLAPSE: Final = Expectation(mean=-0.5, square=0.5, docs=10, cap=0.85)
_SEED: Final = "lmmeval-dispatch-1"


class DropFuse(MeanBet):
    """A bet against "the mean drop is at most ``max_drop``", doc by doc.

    Args:
        max_drop: The drop that is tolerated, as a share of the scale (0.01 for 1pp).
        alpha: The chance of tripping, ever, where the drop is at most that.
        largest: Docs in the largest cluster; 1 where docs are independent.

    Raises:
        ValueError: An argument makes no sense.
    """

    def __init__(self, max_drop: float, *, alpha: float = ALPHA, largest: int = 1) -> None:
        if not 0 <= max_drop < 1:
            raise ValueError(f"no bet has {max_drop=}")
        super().__init__(max_drop, _COLLAPSE, largest=largest)
        self._alpha = alpha

    @property
    def tripped(self) -> bool:
        """Whether the drop is certain; once it is, it stays."""
        return self.won(self._alpha)

    @property
    def drop(self) -> float:
        """The mean drop of the docs so far; 0 before the first."""
        return self.total / self.docs if self.docs else 0.0


def next_look(docs: int) -> int:
    """Return after how many docs to look next, when so many were looked at.

    Not after each, because docs are scored together up to a look. A task that could have been ended
    goes on for an eighth of its docs at most.
    """
    if docs < FEWEST_DOCS:
        return FEWEST_DOCS
    step: int = 2 ** (docs.bit_length() - 1) // 8
    return (docs // step + 1) * step


def dispatch_rank(doc_id: int, cluster: str | None = None) -> tuple[bytes, bytes]:
    """Return a doc's place in the random order in which docs are sent: the smallest rank first.

    The same in every process and run, whatever other docs there are. The docs of a cluster have
    neighbouring places.
    """
    if cluster is None:
        return _digest(f"doc {doc_id}"), b""
    return _digest(f"cluster {cluster}"), _digest(str(doc_id))


def _digest(text: str) -> bytes:
    whole = f"{_SEED} {text}".encode(errors="surrogatepass")
    return hashlib.blake2b(whole, digest_size=8).digest()
