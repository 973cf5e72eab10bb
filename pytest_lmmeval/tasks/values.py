"""Values as builtin types, and their digests.

What leaves a task crosses process borders and goes into files, so it may hold builtin types only.
Media are replaced by the SHA-256 of what they show.
"""

from __future__ import annotations

import datetime
import decimal
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmmeval.records import ImagePart
from pytest_lmmeval.tasks.data.sounds import Sound

URLS = ("http://", "https://")
_SORTED = json.JSONEncoder(ensure_ascii=False, sort_keys=True)


def _sorted_encoder() -> Callable[[Any, int], Sequence[str]]:
    """Return the C encoder of ``_SORTED``: from a value and 0 to the pieces of its JSON.

    ``_SORTED.encode`` makes it anew for each value, which takes as long as encoding a doc.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter that has none
        return lambda value, _: (_SORTED.encode(value),)
    quote, between = json.encoder.encode_basestring, (_SORTED.key_separator, _SORTED.item_separator)
    encode: Callable[[Any, int], Sequence[str]] = make(
        None, _SORTED.default, quote, None, *between, True, False, True
    )
    return encode


_encode = _sorted_encoder()


class NotBuiltinError(TypeError):
    """A value is of a type that cannot leave the process.

    Args:
        value: The value.
    """

    def __init__(self, value: object) -> None:
        super().__init__(f"{type(value).__module__}.{type(value).__qualname__}")


def is_image(value: object) -> bool:
    """Whether a value is a ``PIL.Image.Image``, told without importing PIL."""
    if type(value) in (str, dict, list, int, float, bytes):
        return False
    return any(cls.__module__.startswith("PIL.") for cls in type(value).__mro__)


def is_stored_media(value: object) -> bool:
    """Whether a value is media as a data set stores it: its bytes, or the path of a file."""
    # Most are dicts, for which asking the abstract class costs more than all else.
    if not (isinstance(value, dict) or isinstance(value, Mapping)):  # noqa: SIM101
        return False
    return len(value) == 2 and "bytes" in value and "path" in value


def is_media(value: object) -> bool:
    """Whether a value is an image or other media, or a list of such."""
    if type(value) in (str, int, float, bool):
        return False
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(is_media, value))
    return is_image(value) or is_stored_media(value) or isinstance(value, bytes | Sound)


def to_builtins(value: Any) -> Any:
    """Return a score as builtin types; NumPy scalars are converted, containers copied.

    Raises:
        NotBuiltinError: Something in it is of another type.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Mapping):
        return {to_builtins(key): to_builtins(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_builtins(item) for item in value]
    if isinstance(value, tuple):
        return tuple(to_builtins(item) for item in value)
    if type(value).__module__ == "numpy" and getattr(value, "shape", None) == ():
        return to_builtins(value.item())
    for base in (bool, int, float, str):
        if isinstance(value, base):
            return base(value)
    raise NotBuiltinError(value)


def plain(value: Any, known: Mapping[str, str] | None = None) -> Any:
    """Return any value as what JSON can hold: media as digests, dates as text, the rest as repr.

    Args:
        value: The value.
        known: What to put in place of certain strings, such as digests in place of paths.
    """
    if type(value) is str:
        return known.get(value, value) if known else value
    if value is None or type(value) in (bool, int, float):
        return value
    if type(value) is list:
        return [plain(item, known) for item in value]
    if type(value) is dict and not is_stored_media(value):
        return {str(key): plain(item, known) for key, item in value.items()}
    if is_image(value) or is_stored_media(value) or isinstance(value, bytes | Sound):
        return {"type": "image" if is_image(value) else "media", "sha256": media_digest(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item, known) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, known) for item in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta | decimal.Decimal):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    try:
        return to_builtins(value)
    except NotBuiltinError:
        return repr(value)


def media_digest(media: Any) -> str:
    """Return the SHA-256 of media.

    Args:
        media: A ``PIL.Image.Image`` (its mode, size and pixels count), samples of a sound (see
            ``AudioPart``), the bytes of a file, its path, its URL (which is the server's to fetch,
            so that its text stands for it), or the mapping in which a data set stores either.

    Raises:
        OSError: A path cannot be read.
    """
    if is_stored_media(media):
        media = media["path"] if media["bytes"] is None else media["bytes"]
    if isinstance(media, Sound):
        media = media.file
    if isinstance(media, str) and media.startswith(URLS):
        return text_digest(media)
    if isinstance(media, str | Path):
        state = Path(media).stat()
        return _file_digest(str(media), state.st_size, state.st_mtime_ns)
    if isinstance(media, bytes):
        return hashlib.sha256(media).hexdigest()
    if isinstance(media, Mapping):
        return _samples_digest(media["array"], media["sampling_rate"])
    shown = hashlib.sha256(f"{media.mode} {media.size}".encode())
    shown.update(media.tobytes())
    return shown.hexdigest()


def image_digest(part: ImagePart) -> str:
    """Return the SHA-256 of an image of a prompt, which is hashed once however many ask.

    Raises:
        OSError: A path cannot be read.
    """
    if "sha256" not in part.sent:
        part.sent["sha256"] = media_digest(part.image)
    return str(part.sent["sha256"])


@functools.lru_cache(maxsize=4096)
def _file_digest(path: str, size: int, changed: int) -> str:
    """Return a file's digest; several docs may ask about one long video."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _samples_digest(samples: Any, rate: Any) -> str:
    if not hasattr(samples, "tobytes"):
        return digest([samples, rate])
    shown = hashlib.sha256(f"{samples.dtype} {samples.shape} {rate}".encode())
    shown.update(samples.tobytes())
    return shown.hexdigest()


def digest(value: Any, known: Mapping[str, str] | None = None) -> str:
    """Return the SHA-256 of a value's JSON form, whatever the order of its keys."""
    return plain_digest(plain(value, known))


def plain_digest(value: Any) -> str:
    """Return what ``digest`` does of a value that is as ``plain`` returns it."""
    return text_digest("".join(_encode(value, 0)))


def text_digest(text: str) -> str:
    """Return the SHA-256 of a text, which may hold lone surrogates, as some data sets do."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
