"""The way of an image through the service: decode, compute, encode; few at a time, so that memory does not grow."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, TypeVar

import numpy as np

from noiseless.errors import ImageError, NoiselessError, OutputError, ValueRangeError
from noiseless.image import DataRange, Image
from noiseless.inference import by_channel
from noiseless.io import FORMATS, read, with_denoised_mark, write
from noiseless.runtime.machine import used_threads
from noiseless.service.budget import Budget
from noiseless.service.engine import Engine, Long, Restored, Work
from noiseless.service.options import Options
from noiseless.service.queue import Queue
from noiseless.service.report import report
from noiseless.service.settings import ServiceSettings
from noiseless.service.uploads import Content

T = TypeVar("T")

DECODED = 8 << 20
"""Pixels of the images that are decoded at once for requests, and again for what is only looked at; a larger one is
decoded alone."""

UPLOADS = 4
"""As many uploads of the largest size may be here at once."""

WARM_UP_SIDE = 128

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "netpbm": "image/x-portable-anymap",
    "raw": "image/tiff",
    "dicom": "application/dicom",
    "nifti.gz": "application/gzip",
}


@dataclass(frozen=True)
class Answer:
    """A denoised image.

    Attributes:
        data: the file.
        media_type: of the file.
        suffix: of the file, with the dot.
        report: numbers and warnings, where they were asked for.
        headers: what goes along with the file.
        model: that made it.
        file: where it lies, instead of `data`.
    """

    data: bytes
    media_type: str
    suffix: str
    report: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    model: str = ""
    file: Path | None = None


class Pipeline:
    """Takes images to the engine and back.

    Args:
        settings: the limits.
        engine: computes.

    Attributes:
        queue: of direct requests.
    """

    def __init__(self, settings: ServiceSettings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self._pool = ThreadPoolExecutor(used_threads(settings.threads), "codec")
        self._decoded, self._looked_at = Budget(DECODED), Budget(DECODED)
        self.queue = Queue(settings.queue, UPLOADS * settings.max_upload, settings.longest_wait)

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(cancel_futures=True)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in one of as many threads as there are processors."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)

    async def warm_up(self) -> None:
        """Load the model that most images are denoised with, and see how fast it is, before anybody waits for it."""
        brightness = np.random.default_rng(0).integers(0, 200, (WARM_UP_SIDE, WARM_UP_SIDE, 1), np.uint8)
        photograph = brightness + np.array([0, 20, 40], np.uint8)
        work = [Work(Image.from_array(photograph), Options()) for _ in range(2)]
        with contextlib.suppress(NoiselessError):  # whoever asks for an image is told
            await self.compute(work[0])
            self.queue.expect(work[1].pixels / (await self.compute(work[1])).seconds)

    async def look(self, pixels: int, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function that decodes an image of so many pixels, when others leave it the memory."""
        async with self._looked_at.take(pixels):
            return await self.run(function, *arguments)

    async def denoise(self, content: Content, options: Options, *, numbers: bool) -> Answer:
        """Denoise a small image.

        Args:
            content: the file.
            options: how.
            numbers: whether a report is wanted.

        Raises:
            NoiselessError: it cannot be denoised.
            HTTPException: 429, it would wait too long.
        """
        with self.queue.work(content.pixels):
            async with self._decoded.take(content.pixels):
                image = await self.run(decode, content.image, self._settings.max_pixels, options.black_and_white())
                restored = await self.compute(Work(image, options))
                return await self.run(_answer, image, restored, options, numbers)

    async def compute(self, work: Work) -> Restored:
        """Have the engine compute; whoever stops to wait for it cancels it."""
        await self.run(getattr, work, "kind")  # known from now on: a look at the image is nothing for who serves all
        return await _awaited(self._engine.submit(work), work.cancelled)

    async def compute_long(self, work: Long) -> dict[str, Any]:
        """As `compute`, for something long."""
        return await _awaited(self._engine.submit_long(work), work.cancelled)


async def _awaited(future: Future[T], cancelled: threading.Event) -> T:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        cancelled.set()
        raise


def decode(data: bytes, most_pixels: int, data_range: DataRange | None = None) -> Image:
    """The image in a file's bytes.

    Args:
        data: the file.
        most_pixels: that it may have.
        data_range: the values that mean black and white, where the file does not say them.

    Raises:
        ImageError: no image, a damaged or enormous one, or values of which it is not known which are black and white.
        ValueRangeError: values that do not fit the range given.
    """
    try:
        return read(BytesIO(data), data_range=data_range, max_pixels=most_pixels)
    except ValueRangeError as error:
        if data_range is not None:
            raise
        raise ImageError(
            "the upload holds floats far outside [0, 1]",
            expected="floats that are 0 for black and 1 for white, or integers",
            fix="Scale them first, or say the values of black and white (data_range=LOW,HIGH).",
        ) from error


def encode(image: Image) -> Answer:
    """An image as a file of the format that it came in.

    Raises:
        ImageError: what the file held besides its pixels cannot be written.
    """
    buffer = BytesIO()
    try:
        write(buffer, image)
    except OutputError as error:  # in memory, so that neither disk nor path is to blame
        raise ImageError("the image can be read, but not written again", got=error.got) from error
    key = str(image.metadata["format"])
    suffix = FORMATS[key].suffixes[0] if key in FORMATS else ""
    return Answer(buffer.getvalue(), MEDIA_TYPES.get(key, "application/octet-stream"), suffix)


def sentence(error: NoiselessError) -> str:
    """What is wrong, for whoever sent the image: `noiseless.io` calls a file without a name a stream."""
    return str(error).replace("the stream", "the upload")


def result_name(name: str, suffix: str) -> str:
    """What to call a result: as the input, with a suffix of the format that it is in."""
    known = next((each.suffixes for each in FORMATS.values() if suffix in each.suffixes), (suffix,))
    fits = not suffix or name.lower().endswith(known)
    return name if fits else f"{PurePath(name).stem}{suffix}"


def marked(image: Image, restored: Restored, strength: float) -> Image:
    """The denoised image, with the mark of having been denoised; at strength 0 the image as it came."""
    if not strength:
        return image
    return with_denoised_mark(image.with_planes(restored.planes), restored.denoiser.name, strength)


def _answer(image: Image, restored: Restored, options: Options, numbers: bool) -> Answer:
    model = restored.denoiser.name
    if not numbers:
        headers = {"X-Noiseless-Model": model}
        if restored.sigma is not None:
            headers["X-Noiseless-Noise"] = ",".join(map(str, by_channel(restored.sigma)))
        return replace(encode(marked(image, restored, options.strength)), headers=headers, model=model)
    return Answer(b"", "application/json", ".json", report(image, image.planes(), restored, options), model=model)
