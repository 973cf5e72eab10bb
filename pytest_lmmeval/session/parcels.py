"""Parts of tasks on their way from a worker to the controller, as bytes.

execnet would write every value for itself, in Python, which takes the controller longer than all
else. What arrives holds builtin values only and is read as such: whatever would be imported or
called to make an object of it is refused. A sample and a response are lists of their fields, in
order, which takes half as long as writing objects.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, NoReturn

from pytest_lmmeval.ledger import PartResult, UnaskedDoc
from pytest_lmmeval.pipeline.garbage import no_look
from pytest_lmmeval.records import Failure, Response, Sample

# The same in every Python that there may be at the other end.
_PROTOCOL = 4


def _reader(cls: type) -> tuple[Callable[[Any], tuple[Any, ...]], Callable[[str], int]]:
    """Return what reads all fields of an object, and what tells the place of one among them."""
    names = [field.name for field in fields(cls)]
    return attrgetter(*names), names.index


_of_part, _in_part = _reader(PartResult)
_of_sample, _in_sample = _reader(Sample)
_of_response, _in_response = _reader(Response)
_SAMPLES, _UNASKED = _in_part("samples"), _in_part("unasked")
_SCORES, _RESPONSES = _in_sample("scores"), _in_sample("responses")
_USAGE, _FAILURE = _in_response("usage"), _in_response("failure")


def pack(part: PartResult) -> bytes:
    """Return a part as bytes; every float and every text arrives as it was."""
    with no_look():
        row = list(_of_part(part))
        row[_SAMPLES] = [_sample_row(sample) for sample in part.samples]
        row[_UNASKED] = [list(doc) for doc in part.unasked]
        return pickle.dumps(row, protocol=_PROTOCOL)


def unpack(parcel: bytes) -> PartResult:
    """Return the part that ``pack`` was given.

    Raises:
        pickle.UnpicklingError: It holds other than builtin values.
    """
    with no_look():
        row: list[Any] = _Values(io.BytesIO(parcel)).load()
        row[_SAMPLES] = [_sample(own) for own in row[_SAMPLES]]
        row[_UNASKED] = [UnaskedDoc(*doc) for doc in row[_UNASKED]]
        return PartResult(*row)


def _sample_row(sample: Sample) -> list[Any]:
    row = list(_of_sample(sample))
    row[_SCORES] = dict(sample.scores)
    row[_RESPONSES] = [_response_row(response) for response in sample.responses]
    return row


def _sample(row: list[Any]) -> Sample:
    row[_RESPONSES] = tuple([_response(own) for own in row[_RESPONSES]])
    return Sample(*row)


def _response_row(response: Response) -> list[Any]:
    row = list(_of_response(response))
    row[_USAGE] = dict(response.usage)
    if response.failure is not None:
        row[_FAILURE] = (response.failure.kind, response.failure.message)
    return row


def _response(row: list[Any]) -> Response:
    if row[_FAILURE] is not None:
        row[_FAILURE] = Failure(*row[_FAILURE])
    return Response(*row)


class _Values(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"a worker sent an object of {module}.{name}")
