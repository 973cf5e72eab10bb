"""Frames of a video file, decoded with PyAV one after the other.

Of a long video only what is needed is decoded: the frames' times are read from the container, and
each wanted frame is sought from the key frame before it. A frame's index counts frames in the order
in which they are shown, as decord does, which lmms-eval's models read videos with.
"""

from __future__ import annotations

import bisect
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.records import VideoPart

if TYPE_CHECKING:
    from PIL import Image

    from pytest_lmmeval.models.frames import Sampling

NO_DECODER = "decoding videos needs PyAV: pip install 'pytest-lmmeval[video]'"
_THREADS = 4
# The next few frames are decoded sooner than sought.
_NEAR = 8
_URLS = ("http://", "https://")


class Clip:
    """The part of an open video that is shown.

    Args:
        container: PyAV's container.
        part: What is shown of it.

    Raises:
        ValueError: It has no video stream, no frame, or none in the times asked for.
    """

    def __init__(self, container: Any, part: VideoPart) -> None:
        if not container.streams.video:
            raise ValueError("there is no video in it")
        self._container = container
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = _THREADS
        self._times: list[int] = []
        self._keys: list[int] = []
        self.total = self._read_times()
        if not self.total:
            raise ValueError("there is no frame in it")
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or 1)
        self.first, self.last = self._range(part)

    @property
    def seconds(self) -> float:
        """How long the whole video lasts."""
        return self.total / self.rate

    def indices(self, sampling: Sampling) -> list[int]:
        """Return the frames that are shown, in order."""
        return sampling.indices(self.first, self.last, self.rate)

    def images(self, indices: Sequence[int], sampling: Sampling) -> Iterator[Image.Image]:
        """Yield frames as RGB images, one in memory at a time.

        Raises:
            ValueError: They cannot be decoded, or have a form that cannot be shown.
        """
        from PIL import Image

        size: tuple[int, int] | None = None
        for frame in self._frames(indices):
            image = frame.to_image()
            size = size or sampling.size(image.width, image.height, len(indices))
            yield image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)

    def _read_times(self) -> int:
        """Take in the time of each frame and of key frames, and return how many frames there are.

        Where a container has no times, none are taken in, and frames are counted.
        """
        packets = [
            (packet.pts, packet.is_keyframe)
            for packet in self._container.demux(self._stream)
            if packet.size
        ]
        known = [(time, is_key) for time, is_key in packets if time is not None]
        # In AVI a packet has the time of its decoding, which need not be that of its frame.
        if len(known) == len(packets) and "avi" not in self._container.format.name:
            self._times = sorted(time for time, _ in known)
            self._keys = sorted(time for time, is_key in known if is_key)
        return len(packets)

    def _range(self, part: VideoPart) -> tuple[int, int]:
        """Return the first and the last frame within the times that the part names."""
        last = self.total - 1
        first = math.ceil(_within(part.start, self.seconds) * self.rate) if part.start else 0
        if part.end is not None:
            last = min(last, math.floor(_within(part.end, self.seconds) * self.rate))
        if first > last:
            raise ValueError(
                f"there is no frame from {part.start or 0:g} s to {part.end or self.seconds:g} s, "
                f"it lasts {self.seconds:g} s"
            )
        return first, last

    def _frames(self, indices: Sequence[int]) -> Iterator[Any]:
        if not self._times:
            yield from self._counted(indices)
            return
        decoder = self._from(self._keys[0] if self._keys else self._times[0])
        at, frame = -1, None
        for index in indices:
            if index != at:
                key = self._key_before(index)
                if frame is None or self._is_ahead(key, at, index):
                    decoder = self._from(key)
                frame = self._until(decoder, index) or frame
                at = index
            if frame is None:
                raise ValueError(f"its frame {index} cannot be decoded")
            yield frame

    def _key_before(self, index: int) -> int:
        place = bisect.bisect_right(self._keys, self._times[index])
        return self._keys[place - 1] if place else self._times[0]

    def _is_ahead(self, key: int, at: int, index: int) -> bool:
        """Whether decoding on from frame ``at`` takes longer than from the key frame."""
        return index > at + _NEAR and key > self._times[at]

    def _from(self, time: int) -> Iterator[Any]:
        self._container.seek(time, stream=self._stream)
        return iter(self._container.decode(self._stream))

    def _until(self, decoder: Iterator[Any], index: int) -> Any:
        """Return the frame, or the last one there is if those at the end cannot be decoded."""
        wanted, last = self._times[index], None
        for last in decoder:
            if last.pts is not None and last.pts >= wanted:
                break
        return last

    def _counted(self, indices: Sequence[int]) -> Iterator[Any]:
        self._container.seek(0)
        waiting = list(indices)
        for index, frame in enumerate(self._container.decode(self._stream)):
            while waiting and waiting[0] == index:
                yield frame
                del waiting[0]
            if not waiting:
                return
        raise ValueError(f"its frame {waiting[0]} cannot be decoded")


def _within(seconds: float, length: float) -> float:
    return max(0.0, min(seconds, length))


@contextmanager
def opened(part: VideoPart, owner: str) -> Iterator[Clip]:
    """Open a video, and turn what its decoding raises into an error that names it.

    Args:
        part: The video.
        owner: Whose it is, for messages: ``"videomme doc 7"``.

    Raises:
        RequestError: It is missing, cannot be decoded, or is at a URL (kind "media").
    """
    named = f"{part.video} of {owner}" if isinstance(part.video, str) else owner
    if isinstance(part.video, str) and part.video.startswith(_URLS):
        raise RequestError(
            "media", f"video {named}: it is not on this machine; pass_video_url=true lets a server "
            "fetch it"
        )  # fmt: skip
    try:
        import av
    except ImportError as error:
        raise RequestError("media", f"video {named}: {NO_DECODER}") from error
    source = io.BytesIO(part.video) if isinstance(part.video, bytes) else part.video
    try:
        with av.open(source) as container:
            yield Clip(container, part)
    except (av.FFmpegError, OSError, ValueError, EOFError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise RequestError("media", f"video {named}: {said}") from error


def frames(part: VideoPart, sampling: Sampling, owner: str) -> Iterator[Image.Image]:
    """Yield the frames of a video that a model is shown; arguments and errors as ``opened``."""
    with opened(part, owner) as clip:
        yield from clip.images(clip.indices(sampling), sampling)
