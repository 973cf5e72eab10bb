"""Videos behind an endpoint: as frames, each an image, or as an address that the server opens.

Names and defaults of the arguments are those of lmms-eval's models ``openai`` and ``async_openai``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmmeval.errors import RequestError, UsageError
from pytest_lmmeval.models.endpoints.images import ImageEndpoint
from pytest_lmmeval.models.media import data_url
from pytest_lmmeval.records import VideoPart

if TYPE_CHECKING:
    from pytest_lmmeval.models.frames import Sampling

_FRAMES = 10
_URLS = ("http://", "https://", "file://", "data:")


class VideoEndpoint(ImageEndpoint):
    """An endpoint that is shown videos.

    Args:
        model: See ``EndpointLM``.
        max_frames_num: Frames of a video, rounded to an even number; of a shorter video all.
        nframes: Another name for it.
        video_fps: Frames for each second of a video, in place of a fixed number.
        fps: Another name for it.
        max_frames: The most of them, with ``fps``.
        min_pixels: Pixels of a frame, at least; by default 100,352, as qwen-vl-utils has it.
        max_pixels: Pixels of a frame, at most; by default 602,112, and less of very many frames.
        is_qwen3_vl: Whether a text before each frame says when it is shown.
        pass_video_url: Whether a server gets the address of a video (of a file, ``file://…``) in
            place of its frames, as vLLM takes it.
        **settings: Those of ``ImageEndpoint``.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        max_frames_num: int = _FRAMES,
        nframes: int | None = None,
        video_fps: float | None = None,
        fps: float | None = None,
        max_frames: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        is_qwen3_vl: bool = False,
        pass_video_url: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(model, **settings)
        frames = max_frames_num if nframes is None else nframes
        per_second = (video_fps if fps is None else fps) or None
        numbers = {"nframes": frames, "fps": per_second, "max_frames": max_frames}
        numbers |= {"min_pixels": min_pixels, "max_pixels": max_pixels}
        for name, number in numbers.items():
            if number is not None and number <= 0:
                raise UsageError(f"{name} must be above 0, not {number!r}")
        if min_pixels and max_pixels and min_pixels > max_pixels:
            raise UsageError(f"min_pixels={min_pixels} is more than max_pixels={max_pixels}")
        self._frames_asked = (frames, per_second, max_frames, min_pixels, max_pixels)
        self.frame_count = frames
        usual = {"nframes": _FRAMES, "is_qwen3_vl": False, "pass_video_url": False}
        chosen = numbers | {"is_qwen3_vl": is_qwen3_vl, "pass_video_url": pass_video_url}
        self._chosen = {k: v for k, v in chosen.items() if v != usual.get(k)}
        self.is_qwen3_vl = is_qwen3_vl
        self.pass_video_url = pass_video_url
        self.decodes_videos = not pass_video_url

    @cached_property
    def frame_sampling(self) -> Sampling:
        """Which frames are shown, and how large."""
        # Deferred, as below: most runs show no video.
        from pytest_lmmeval.models.frames import QwenSampling

        return QwenSampling(*self._frames_asked)

    def identity(self) -> dict[str, str]:
        """Return what ``EndpointLM`` does, and how videos are shown where that was changed."""
        changed = " ".join(f"{name}={value}" for name, value in sorted(self._chosen.items()))
        return super().identity() | ({"videos": changed} if changed else {})

    def video_fields(self) -> dict[str, Any]:
        """Return what a body says about how the server is to read videos, if it reads them."""
        if not self.pass_video_url:
            return {}
        return {"media_io_kwargs": {"video": {"num_frames": self.frame_count}}}

    def video_parts(
        self, part: VideoPart, owner: str, as_image: Callable[[str], dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        """Yield the content parts that show a video.

        Args:
            part: The video.
            owner: Whose it is, for messages.
            as_image: Makes a content part of a frame's data URL.

        Raises:
            RequestError: The video cannot be read (kind "media").
        """
        if self.pass_video_url:
            yield {"type": "video_url", "video_url": {"url": _address(part, owner)}}
            return
        from pytest_lmmeval.models.video import opened

        with opened(part, owner) as clip:
            indices = clip.indices(self.frame_sampling)
            images = clip.images(indices, self.frame_sampling)
            for index, image in zip(indices, images, strict=True):
                if self.is_qwen3_vl:
                    yield {"type": "text", "text": f"<{index / clip.rate:.1f} seconds>"}
                yield as_image(data_url(image, owner))


def _address(part: VideoPart, owner: str) -> str:
    if isinstance(part.video, bytes):
        raise RequestError("media", f"video of {owner}: it is no file that a server could open")
    if part.start is not None or part.end is not None:
        raise RequestError(
            "client", f"video {part.video} of {owner}: a server is sent whole videos, not parts"
        )
    if part.video.startswith(_URLS):
        return part.video
    path = Path(part.video).absolute()
    if not path.is_file():
        raise RequestError("media", f"video {path} of {owner}: there is no such file")
    return path.as_uri()
