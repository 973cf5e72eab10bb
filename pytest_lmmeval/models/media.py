"""Images on their way to a server or a processor.

A PIL image becomes the PNG that Pillow writes by default, as the peers send it. An encoded file
goes out untouched if a server decodes it to the pixels that Pillow would see, which saves decoding
and compressing it again; so not if it is turned by EXIF, animated, CMYK or of another format.
"""

from __future__ import annotations

import base64
import io
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmmeval.errors import RequestError

if TYPE_CHECKING:
    from PIL import Image

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"})
_PASSED_ON = {"PNG": _PNG_MODES, "JPEG": frozenset({"L", "RGB"})}
_ORIENTATION, _UPRIGHT = 0x0112, 1
# Where a PNG may say that it is to be turned; to read it, Pillow would decode the whole image.
_METADATA_OF_PNG = (b"eXIf", b"Raw profile type exif", b"adobe.xmp")
_END_OF_JPEG = b"\xff\xd9"
# Pillow decodes an image on first use, and few-shot images are shared between requests.
_loading = threading.Lock()


def data_url(source: Any, owner: str) -> str:
    """Return an image as a ``data:`` URL.

    Args:
        source: A PIL image, the path of an image file, or its bytes.
        owner: Whose image it is, for messages: ``"ai2d doc 7"``.

    Raises:
        RequestError: The image cannot be read (kind "media").
    """
    content, media_type = _encoded(source, owner)
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def rgb_image(source: Any, owner: str) -> Image.Image:
    """Return an image decoded to RGB, for a processor; arguments and errors as ``data_url``."""
    from PIL import Image

    with _reading(source, owner):
        image = source if isinstance(source, Image.Image) else Image.open(_file(source))
        _load(image)
        return image if image.mode == "RGB" else image.convert("RGB")


def _encoded(source: Any, owner: str) -> tuple[bytes, str]:
    from PIL import Image

    with _reading(source, owner):
        if isinstance(source, Image.Image):
            return _png(source), "image/png"
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if _may_be_passed_on(image, content):
                return content, f"image/{str(image.format).lower()}"
            return _png(image), "image/png"


def _file(source: Any) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source)


def _png(image: Image.Image) -> bytes:
    _load(image)
    if image.mode not in _PNG_MODES:
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _load(image: Image.Image) -> None:
    with _loading:
        image.load()


def _may_be_passed_on(image: Image.Image, content: bytes) -> bool:
    """Whether ``content`` is whole and shows everywhere what Pillow shows."""
    if image.mode not in _PASSED_ON.get(str(image.format), ()):
        return False
    if getattr(image, "is_animated", False):
        return False
    if image.format == "PNG":
        if any(mark in content for mark in _METADATA_OF_PNG):
            return False
        image.verify()  # checks the sums of all chunks, without decoding
        return True
    if image.getexif().get(_ORIENTATION, _UPRIGHT) != _UPRIGHT:
        return False
    if not content.rstrip(b"\0").endswith(_END_OF_JPEG):
        _load(image)
    return True


@contextmanager
def _reading(source: Any, owner: str) -> Iterator[None]:
    """Turn what a broken image raises into a RequestError that says whose it is."""
    from PIL import Image

    broken = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error)
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except (*broken, *bombs) as error:
        whose = f"{source} of {owner}" if isinstance(source, (str, os.PathLike)) else owner
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RequestError("media", f"image of {whose}: {said}") from error
