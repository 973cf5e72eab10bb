"""Sounds on their way to a server: an encoded file goes out as it is, samples as 16-bit WAV."""

from __future__ import annotations

import io
import os
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pybase64

from pytest_lmmeval.errors import RequestError

# How a file of a format begins: at which byte, and with what.
_MARKS = (
    ("wav", 0, b"RIFF"),
    ("flac", 0, b"fLaC"),
    ("ogg", 0, b"OggS"),
    ("mp3", 0, b"ID3"),
    ("m4a", 4, b"ftyp"),
)
_MPEG_LAYER_3 = frozenset({b"\xff\xfb", b"\xff\xfa", b"\xff\xf3", b"\xff\xf2", b"\xff\xe3"})
_MPEG_AAC = frozenset({b"\xff\xf1", b"\xff\xf9"})
_LOUDEST = 32767


def input_audio(source: Any, owner: str) -> dict[str, str]:
    """Return a sound as the ``input_audio`` of an OpenAI content part.

    Args:
        source: The path of a file, the bytes of one, or a mapping with ``array`` and
            ``sampling_rate``; see ``AudioPart``.
        owner: Whose it is, for messages: ``"mmau doc 7"``.

    Returns:
        ``data`` in base64 and ``format``.

    Raises:
        RequestError: It cannot be read, or is in no known format (kind "media").
    """
    named = f"{source} of {owner}" if isinstance(source, str | os.PathLike) else owner
    try:
        content = wav(source) if isinstance(source, Mapping) else _read(source)
    except (OSError, ValueError, TypeError, KeyError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise RequestError("media", f"audio of {named}: {said}") from error
    kind = _kind(content)
    if kind is None:
        raise RequestError("media", f"audio of {named}: it is in no known format")
    return {"data": pybase64.b64encode_as_string(content), "format": kind}


def wav(sound: Mapping[str, Any]) -> bytes:
    """Return samples as a WAV file with 16 bits per sample; nothing is resampled.

    Raises:
        ValueError: There are no samples, or they have more than two dimensions.
        KeyError: ``array`` or ``sampling_rate`` is not there.
    """
    import numpy as np  # deferred: only tasks with audio need it here

    samples = np.atleast_2d(np.asarray(sound["array"]))
    if samples.ndim > 2 or not samples.size:
        raise ValueError(f"samples of shape {np.shape(sound['array'])} are no sound")
    if np.issubdtype(samples.dtype, np.floating):
        samples = np.round(np.clip(np.nan_to_num(samples), -1, 1) * _LOUDEST)
    elif samples.dtype != np.int16:
        raise ValueError(f"samples of type {samples.dtype} are neither floats nor 16-bit integers")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(samples.shape[0])
        out.setsampwidth(2)
        out.setframerate(int(sound["sampling_rate"]))
        out.writeframes(samples.astype("<i2").T.tobytes())
    return file.getvalue()


def _read(source: Any) -> bytes:
    return source if isinstance(source, bytes) else Path(source).read_bytes()


def _kind(content: bytes) -> str | None:
    for kind, place, mark in _MARKS:
        if content[place : place + len(mark)] == mark:
            return kind
    start = content[:2]
    return "mp3" if start in _MPEG_LAYER_3 else "aac" if start in _MPEG_AAC else None
