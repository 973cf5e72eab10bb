"""Images on their way to a server or a processor.

A PIL image becomes the PNG that Pillow writes by default, as the peers send it. An encoded file
goes out untouched if a server decodes it to the pixels that Pillow would see, which saves decoding
and compressing it again; so not if it is turned by EXIF, animated, CMYK, of 16 bits or of another
format.
``ImageSettings`` say where a model wants another format or smaller images.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pybase64

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.image_files import is_surely_whole, reads_alike
from pytest_lmmeval.models.freed_memory import FreedMemory
from pytest_lmmeval.models.messages import messages_of
from pytest_lmmeval.records import ImagePart, Instance

if TYPE_CHECKING:
    from PIL import Image

_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I;16B"})
_JPEG_MODES = frozenset({"L", "RGB"})
_WEBP_MODES = frozenset({"RGB", "RGBA"})
# By which a side shrinks until an image is small enough, as in lmms-eval.
_STEP = 0.75
# Pillow decodes an image on first use, and few-shot images are shared between requests.
_loading = threading.Lock()
_freed = FreedMemory()


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How a model wants images.

    Attributes:
        format: "auto" sends a file as it is where every server sees the same in it, else PNG; the
            others encode every image anew.
        quality: Of JPEG and WebP, 1 to 100.
        max_pixels: Width times height beyond which an image is made smaller.
        max_bytes: Size of the encoded image beyond which it is made smaller.
    """

    format: Literal["auto", "png", "jpeg", "webp"] = "auto"
    quality: int = 95
    max_pixels: int | None = None
    max_bytes: int | None = None


AS_THEY_ARE = ImageSettings()


@dataclass(frozen=True, slots=True)
class SentImage:
    """An image as a server gets it.

    Attributes:
        url: A ``data:`` URL.
        resized: Whether it is smaller than the doc's.
    """

    url: str
    resized: bool


def sent_image(part: ImagePart, owner: str, settings: ImageSettings = AS_THEY_ARE) -> SentImage:
    """Encode an image once for all requests that hold this part, whichever comes first.

    Args:
        part: The image. May be asked for in several threads.
        owner: Whose it is, for messages: ``"ai2d doc 7"``.
        settings: How the model wants it.

    Raises:
        RequestError: The image cannot be read (kind "media").
    """
    mine: Future[SentImage] = Future()
    found: Future[SentImage] = part.sent.setdefault(settings, mine)
    if found is mine:
        try:
            mine.set_result(_sent(part.image, whose(part, owner), settings))
        except RequestError as error:
            mine.set_exception(error)
    return found.result()


def whose(part: ImagePart, owner: str) -> str:
    """Return what messages call an image: its name, if it has one, and its owner."""
    return f"{part.name} of {owner}" if part.name else owner


def count_resized(request: Instance, settings: ImageSettings) -> int:
    """Return how many of a request's images were sent smaller than they are."""
    parts = [part for message in messages_of(request) for part in message.content]
    sent = [part.sent.get(settings) for part in parts if isinstance(part, ImagePart)]
    return sum(future.result().resized for future in sent if future is not None)


def data_url(source: Any, owner: str, settings: ImageSettings = AS_THEY_ARE) -> str:
    """Return an image as a ``data:`` URL.

    Args:
        source: A PIL image, the path of an image file, or its bytes.
        owner: Whose image it is, for messages.
        settings: How the model wants it.

    Raises:
        RequestError: The image cannot be read (kind "media").
    """
    return _sent(source, owner, settings).url


def rgb_image(source: Any, owner: str) -> Image.Image:
    """Return an image decoded to RGB, for a processor; arguments and errors as ``data_url``."""
    from PIL import Image

    with _reading(source, owner):
        image = source if isinstance(source, Image.Image) else Image.open(_file(source))
        _load(image)
        image = _eight_bits(image, alpha=False)
        return image if image.mode == "RGB" else image.convert("RGB")


def _sent(source: Any, owner: str, settings: ImageSettings) -> SentImage:
    content, kind, resized = _encoded(source, owner, settings)
    url = f"data:image/{kind};base64,{pybase64.b64encode_as_string(content)}"
    _freed.give_back()
    return SentImage(url, resized)


def _encoded(source: Any, owner: str, settings: ImageSettings) -> tuple[bytes, str, bool]:
    from PIL import Image

    with _reading(source, owner):
        if isinstance(source, Image.Image):
            return _written(source, settings)
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            if _fits(image, content, settings) and _may_be_passed_on(image, content):
                return content, str(image.format).lower(), False
            _load(image)
            return _written(_eight_bits(image) if _has_sixteen_bits(image) else image, settings)


def _file(source: Any) -> io.BytesIO | Path:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source)


def _fits(image: Image.Image, content: bytes, settings: ImageSettings) -> bool:
    """Whether the settings ask for nothing that a file is not."""
    if settings.format != "auto" or len(content) > (settings.max_bytes or len(content)):
        return False
    return image.width * image.height <= (settings.max_pixels or image.width * image.height)


def _written(image: Image.Image, settings: ImageSettings) -> tuple[bytes, str, bool]:
    """Encode an image, smaller where it is too large."""
    _load(image)
    kind = "png" if settings.format == "auto" else settings.format
    size = image.size
    image = _within(image, settings.max_pixels)
    content = _compressed(image, kind, settings.quality)
    while len(content) > (settings.max_bytes or len(content)) and min(image.size) > 1:
        image = _scaled(image, _STEP)
        content = _compressed(image, kind, settings.quality)
    return content, kind, image.size != size


def _within(image: Image.Image, max_pixels: int | None) -> Image.Image:
    pixels = image.width * image.height
    if max_pixels is None or pixels <= max_pixels:
        return image
    return _scaled(image, (max_pixels / pixels) ** 0.5)


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    from PIL import Image as Images

    size = (max(1, int(image.width * factor)), max(1, int(image.height * factor)))
    # Colours of a palette cannot be mixed.
    return _eight_bits(image).resize(size, Images.Resampling.LANCZOS)


def _compressed(image: Image.Image, kind: str, quality: int) -> bytes:
    if kind == "png":
        options: dict[str, Any] = {}
        image = image if image.mode in _PNG_MODES else _eight_bits(image)
    else:
        options = {"quality": quality}
        modes = _WEBP_MODES if kind == "webp" else _JPEG_MODES
        image = image if image.mode in modes else _eight_bits(image, alpha=kind == "webp")
    buffer = io.BytesIO()
    image.save(buffer, format=kind.upper(), **options)
    return buffer.getvalue()


def _eight_bits(image: Image.Image, *, alpha: bool = True) -> Image.Image:
    """Return an image with 8 bits a channel, transparency kept or dropped."""
    if _has_sixteen_bits(image):
        # Pillow would cut off what is above 255.
        return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if alpha and image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _has_sixteen_bits(image: Image.Image) -> bool:
    return image.mode.startswith("I;16")


def _load(image: Image.Image) -> None:
    with _loading:
        image.load()


def _may_be_passed_on(image: Image.Image, content: bytes) -> bool:
    """Whether ``content`` is whole and shows everywhere what Pillow shows."""
    if _has_sixteen_bits(image) or not reads_alike(image, content):
        return False  # servers that decode with Pillow cut off what is above 255
    if is_surely_whole(image, content):
        return True
    _load(image)  # which raises what is wrong
    # Pillow takes no offence at a wrong checksum, others do. Bytes behind a JPEG harm nobody.
    return image.format == "JPEG"


@contextmanager
def _reading(source: Any, owner: str) -> Iterator[None]:
    """Turn what a broken image raises into a RequestError that says whose it is."""
    from PIL import Image

    broken = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error)
    bombs = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    try:
        yield
    except (*broken, *bombs) as error:
        which = f"{source} of {owner}" if isinstance(source, (str, os.PathLike)) else owner
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RequestError("media", f"image of {which}: {said}") from error
