"""Parts of tasks on their way from a worker to the controller, as bytes.

execnet would write every value for itself, in Python, which takes the controller longer than all
else. Pickle writes columns as they are. What arrives may hold builtin values and what a part is
made of; whatever else would be imported or called to make an object of it is refused.
"""

from __future__ import annotations

import io
import pickle
from array import array
from typing import Any

from pytest_lmmeval import columns
from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.ledger import PartResult, SampleLines, UnaskedDoc
from pytest_lmmeval.pipeline.garbage import no_look
from pytest_lmmeval.records import Failure, Response, Sample

# The same in every Python that there may be at the other end.
_PROTOCOL = 4
_OURS = (PartResult, SampleLines, UnaskedDoc, DocRecords, Sample, Response, Failure)
# Pickle has a function of its own make an array again, on machines of either byte order.
_MAKES_ARRAYS: Any = array("d").__reduce_ex__(_PROTOCOL)[0]
_KNOWN: dict[tuple[str, str], Any] = {
    (known.__module__, known.__qualname__): known
    for known in (*_OURS, *columns.KINDS, _MAKES_ARRAYS)
}


def pack(part: PartResult) -> bytes:
    """Return a part as bytes; every float and every text arrives as it was."""
    with no_look():
        return pickle.dumps(part, protocol=_PROTOCOL)


def unpack(parcel: bytes) -> PartResult:
    """Return the part that ``pack`` was given.

    Raises:
        pickle.UnpicklingError: It holds other than parts of tasks and builtin values.
    """
    with no_look():
        part: PartResult = _Parts(io.BytesIO(parcel)).load()
        return part


class _Parts(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            message = f"a worker sent an object of {module}.{name}"
            raise pickle.UnpicklingError(message) from None
