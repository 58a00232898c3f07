"""A look at what there is: the images that shall be denoised or learned from, and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from noiseless.calibration import noise_level
from noiseless.data import CleanImages, NoisyImages, Pairs, View, match
from noiseless.data.parts import middle, spread
from noiseless.data.store import as_unit_float
from noiseless.denoiser import PHOTO
from noiseless.errors import DataError, InputError, check_some, noting
from noiseless.image import DataRange, pair_of
from noiseless.runtime.machine import free_memory, processors
from noiseless.training.shipped import shipped_for

Kind = Literal["pairs", "clean", "noisy"]

Read = tuple[list[np.ndarray], dict[str, str | bool]]
"""Planes of an image, and what is known of it; as of `View.read_with_traits`."""

LOOKED_AT = 8
"""Images whose pixels are looked at; the others only count."""

CROP = 384
MARGIN = 1.25
"""The noise model reaches this factor beyond the weakest and the strongest noise that was measured."""

FAINTEST = 0.5
"""The noise model reaches at least to this standard deviation, on the scale of 0 to 255."""


@dataclass(frozen=True)
class Survey:
    """What the images are.

    Attributes:
        kind: ``pairs`` of the same scenes, ``clean`` images of other scenes, or ``noisy`` images alone.
        noisy: where the noisy images are; absolute.
        clean: where the clean images are; absolute, or ``None``.
        images: how many there are to learn from: pairs, clean or noisy images.
        channels: 1 where all are grey.
        size: height and width of the middle one by area, in pixels.
        smallest: the shortest side of those that were looked at, in pixels.
        noise: standard deviation of the weakest and the strongest noise, on the scale of 0 to 255.
        data_range: the values that mean black and white, where they were said; else empty.
        developed: whether they are taken for developed photographs, by what ``denoise`` takes for most noisy images.
        left_out: path of an image that was to be looked at and cannot be read, to the error that says why.
    """

    kind: Kind
    noisy: str
    clean: str | None
    images: int
    channels: int
    size: tuple[int, int]
    smallest: int
    noise: tuple[float, float]
    data_range: tuple[float, ...] = ()
    developed: bool = False
    left_out: Mapping[str, InputError] = field(default_factory=dict)

    @property
    def noise_model(self) -> str:
        """A noise expression that covers what was measured."""
        if self.developed:
            return "camera"
        low, high = self.noise[0] / MARGIN, max(self.noise[1], FAINTEST) * MARGIN
        return f"gaussian:{low:.3g}-{high:.3g}"

    def line(self) -> str:
        """What was found, in words."""
        what = {"pairs": "pairs", "clean": "clean images of other scenes", "noisy": "noisy images and no clean ones"}
        colour = {1: "grey", 3: "colour"}.get(self.channels, f"{self.channels} channels")
        low, high = self.noise
        level = f"{high:.1f}" if high - low < 0.1 else f"{low:.1f} to {high:.1f}"
        found = f"noise of standard deviation {level} (of 255)"
        if self.developed and self.kind != "pairs":
            found = "taken for photographs that a camera developed"
        return f"{self.images} {what[self.kind]}, {colour}, {self.size[1]}x{self.size[0]}, {found}"


@dataclass(frozen=True)
class Machine:
    """What computes.

    Attributes:
        cores: processors that this process may use.
        memory: bytes that are free.
        gpu: name of the GPU that PyTorch can use, or ``None``.
        gpu_memory: its bytes.
    """

    cores: int
    memory: int
    gpu: str | None = None
    gpu_memory: int = 0

    @property
    def usable(self) -> int:
        """Bytes for training: of the GPU where there is one."""
        return self.gpu_memory if self.gpu else self.memory

    def line(self) -> str:
        """The machine in words."""
        gpu = f", {self.gpu} with {self.gpu_memory / 1e9:.0f} GB" if self.gpu else ", no GPU"
        return f"{self.cores} {'core' if self.cores == 1 else 'cores'}, {self.memory / 1e9:.1f} GB free{gpu}"


def look_at_machine() -> Machine:
    """Processors, memory and GPU of this process."""
    import torch

    if not torch.cuda.is_available():
        return Machine(processors(), free_memory())
    device = torch.cuda.get_device_properties(0)
    return Machine(processors(), free_memory(), device.name, device.total_memory)


def look_at_images(noisy: str, clean: str | None = None, *, data_range: DataRange | None = None) -> Survey:
    """Count the images, pair them where names match, and measure some.

    Args:
        noisy: folder, file or glob of noisy images.
        clean: the same of clean images, of the same scenes (matched by name) or of others.
        data_range: values that mean 0 and 1, as of `View.read`; those of the files' dtype where ``None``.

    Raises:
        ValueRangeError: a data range that is empty.
        DataError: no image found, or a single pair or clean image, of which none could be kept to validate on; sides
            of a pair that differ in size or channels.
        ImageError: a file that is no image.
        InputError: none of those that are looked at can be read. Where some can, the result says which are left out.
    """
    span = None if data_range is None else pair_of(data_range)
    found = [item.views[0] for item in NoisyImages.find(noisy).items]
    kind, views = _sides(noisy, clean, found)
    if len(views[-1]) < 2 and kind != "noisy":
        raise DataError(f"one image cannot be split into training and validation: {clean}", expected="two or more")
    scenes = list(zip(*(views if kind == "pairs" else views[:1]), strict=True))
    left_out: dict[str, InputError] = {}
    seen = _seen([scenes[number] for number in spread(len(scenes), LOOKED_AT)], span, left_out)
    planes, known = [[array[0] for array, _ in side] for side in zip(*seen, strict=True)], [each[0][1] for each in seen]
    levels = measure_noise(planes[0], planes[1] if kind == "pairs" else None)
    learned = list(planes[-1])
    if kind == "clean":
        with noting(left_out, str(views[-1][0].path)):
            learned.append(views[-1][0].read(span)[0])
    sizes = sorted((array.shape[-2:] for array in planes[0]), key=lambda shape: shape[0] * shape[1])
    channels = max(array.shape[0] for array in planes[0])
    return Survey(
        kind=kind,
        noisy=_absolute(noisy),
        clean=_absolute(clean) if clean else None,
        images=len(views[-1]),
        channels=channels,
        size=sizes[len(sizes) // 2],
        smallest=min(min(array.shape[-2:]) for array in learned),
        noise=(min(levels), max(levels)),
        data_range=span or (),
        developed=channels == 3 and shipped_for(planes[0], known, channels)[0] == PHOTO,
        left_out=left_out,
    )


def _seen(
    scenes: Sequence[tuple[View, ...]], span: tuple[float, float] | None, left_out: dict[str, InputError]
) -> list[list[Read]]:
    """Each side of the scenes that can be read; what is wrong with the others is noted."""
    seen: list[list[Read]] = []
    for scene in scenes:
        sides: list[Read] = []
        with noting(left_out, str(scene[0].path)):
            sides = [view.read_with_traits(span) for view in scene]
            seen.append(sides)
        shapes = [planes[0].shape for planes, _ in sides]
        if len(set(shapes)) > 1:
            raise DataError(f"the sides of {scene[0].name} differ", got=" and ".join(map(str, shapes)))
    check_some(len(seen), left_out)
    return seen


def _sides(noisy: str, clean: str | None, found: list[View]) -> tuple[Kind, list[list[View]]]:
    """What there is to learn from: noisy and clean views that belong together, or the noisy and the clean ones."""
    if clean is None:
        return "noisy", [found]
    others = [item.views[0] for item in CleanImages.find(clean).items]
    if not match(found, others).pairs:
        return "clean", [found, others]
    pairs = Pairs.find(noisy, clean)
    return "pairs", [[item.views[side] for item in pairs.items] for side in (0, 1)]


def measure_noise(noisy: Sequence[np.ndarray], clean: Sequence[np.ndarray] | None = None) -> list[float]:
    """The standard deviation of the noise in each image, on the scale of 0 to 255.

    Args:
        noisy: (C, H, W) each, as `noiseless.data.View.read` gives them.
        clean: the same scenes; the noise is then what differs, else it is estimated from the noisy image alone.
    """
    if clean is None:
        return [255 * float(noise_level(_middle(image)).mean()) for image in noisy]
    differences = (_middle(one) - _middle(other) for one, other in zip(noisy, clean, strict=True))
    return [255 * float(difference.std()) for difference in differences]


def _middle(image: np.ndarray) -> np.ndarray:
    return as_unit_float(np.ascontiguousarray(middle(image, CROP)))


def _absolute(given: str) -> str:
    return str(Path(given).absolute())
