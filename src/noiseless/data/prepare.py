"""Preparing photographs for training: scaled down until clean, cut into crops with content, packed into one store."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from noiseless.data.gather import View, gather
from noiseless.data.manifest import ManifestEntry
from noiseless.data.store import PackedStore, as_unit_float, check_replaceable, write_store
from noiseless.errors import DataError, ImageError
from noiseless.image import LUMA

LARGE, TOLD = 2500, 128
"""Pixels of the longer side from which an image is scaled down where no factor is given."""

AUTO_FACTORS = (2.0, 2.5, 3.0)
"""Factors to choose from: the first that leaves an image with `CLEAN_ENOUGH`."""

CLEAN_ENOUGH, STILL_NOISY = 0.5, 1.0
"""Noise, in grey levels of 255, up to which an image is clean, and above which it is reported."""

FALL_OF_NOISE = 0.8
"""Noise falls below this share of itself when an image is halved; texture does not."""

SMALLEST_SIDE = 32
"""Pixels of the shorter side below which a scaled image is left out."""

FILTERS = {"lanczos": Image.Resampling.LANCZOS, "area": Image.Resampling.BOX}

Kind = Literal["content", "smooth", "dark", "graphics"]


@dataclass(frozen=True)
class Preparation:
    """How images become crops.

    Attributes:
        downscale: how many times smaller, or ``None`` to choose: an image whose longer side has 2500 pixels or more
            is made 2 times smaller, or 2.5 or 3 times where only that brings its noise below half a grey level of
            255 in its smoothest places; a smaller image stays as it is.
        filter: ``lanczos`` (sharp) or ``area`` (mean over each pixel's area).
        crop: side of the square crops in pixels; 0 keeps whole images.
        per_image: most crops of one image; those with most content are taken.
        smooth: largest share of smooth crops (sky, blur) in the store, so that the flat parts of images are learned.
        exclude: globs of file names that are left out.
    """

    downscale: float | None = None
    filter: Literal["lanczos", "area"] = "lanczos"
    crop: int = 512
    per_image: int = 8
    smooth: float = 0.1
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        if self.downscale is not None and not 1 <= self.downscale < math.inf:
            raise DataError("downscale does not fit", got=self.downscale, expected="1 or more, or auto")
        if self.filter not in FILTERS:
            raise DataError("unknown filter for downscaling", got=self.filter, expected=" or ".join(FILTERS))
        if self.crop != 0 and self.crop < SMALLEST_SIDE:
            raise DataError("crops are too small", got=self.crop, expected=f"{SMALLEST_SIDE} or more, or 0 for whole")
        if self.per_image < 1 or not 0 <= self.smooth <= 1:
            got = f"per_image {self.per_image}, smooth {self.smooth}"
            raise DataError("crops cannot be chosen", got=got, expected="per_image >= 1 and smooth in [0, 1]")


@dataclass
class PackReport:
    """What a packing did; filled while it goes on.

    Attributes:
        images: how many were read.
        factors: how many images were made smaller by how much.
        kept: crops packed, of each kind.
        dropped: crops left out, of each kind; content and smooth ones were more than the limits allow.
        skipped: images that could not be used, one line each.
        repeated: images left out because an earlier one has the same content.
        noisy: images whose noise is above a grey level of 255 even after scaling down.
    """

    images: int = 0
    factors: Counter[float] = field(default_factory=Counter)
    kept: Counter[Kind] = field(default_factory=Counter)
    dropped: Counter[Kind] = field(default_factory=Counter)
    skipped: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    noisy: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report as text."""
        scaled = ", ".join(f"{count} by {factor:g}" for factor, count in sorted(self.factors.items()))
        lines = [f"{self.images} images, scaled down: {scaled or 'none'}", f"crops kept: {_listed(self.kept)}"]
        if self.dropped:
            lines.append(f"crops left out: {_listed(self.dropped)}")
        named = {
            "not used": self.skipped,
            "repeated": self.repeated,
            "still noisy (leave them out with --exclude)": self.noisy,
        }
        return lines + [f"{title}: {', '.join(names)}" for title, names in named.items() if names]


def pack(
    inputs: Sequence[str | Path],
    folder: str | Path,
    preparation: Preparation = Preparation(),
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> tuple[PackedStore, PackReport]:
    """Prepare images and pack the crops into a store; the same images give the same store.

    One image is in memory at a time. Each entry of the store knows the hash and licence of its source, so that a
    split keeps the crops of one image together.

    Args:
        inputs: folders (with subfolders), files, globs or packed stores.
        folder: of the store, which appears whole or not at all.
        preparation: how images become crops.
        progress: called as (images done, images in all, name of the image) after each image.

    Raises:
        DataError: no image, no crop worth keeping, or something else where the store shall be.
        OutputError: the store cannot be written.
    """
    check_replaceable(folder)
    views = gather(inputs, exclude=preparation.exclude)
    report = PackReport()
    sources: list[dict[str, Any]] = []
    crops = _all_crops(views, preparation, report, sources, progress or (lambda done, total, name: None))
    info: dict[str, Any] = {"preparation": asdict(preparation), "sources": sources}  # filled as crops are written
    return write_store(folder, crops, info=info), report


def _all_crops(
    views: Sequence[View],
    preparation: Preparation,
    report: PackReport,
    sources: list[dict[str, Any]],
    progress: Callable[[int, int, str], None],
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    seen: set[str] = set()
    for number, view in enumerate(views):
        try:
            planes = view.read()
            digest = hashlib.sha256()
            for plane in planes:
                digest.update(np.ascontiguousarray(plane).data)
            if digest.hexdigest() in seen:
                report.repeated.append(view.name)
                continue
            seen.add(digest.hexdigest())
            entry = ManifestEntry.of(view, planes, side="train", role="clean")
            sources.append(asdict(entry))
            for plane in planes:
                yield from _crops_of(entry, plane, preparation, report)
        except ImageError as error:
            report.skipped.append(str(error))
        finally:
            progress(number + 1, len(views), view.name)
    if not report.kept.total():
        raise DataError("no crop worth packing", got="; ".join(report.lines()))


def _crops_of(
    entry: ManifestEntry, pixels: np.ndarray, preparation: Preparation, report: PackReport
) -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    factor = preparation.downscale or choose_factor(pixels, preparation.filter)
    small = scale_down(pixels, factor, preparation.filter)
    report.images += 1
    report.factors[factor] += 1
    if factor > 1 and noise_level(small) > STILL_NOISY and is_noise(small, preparation.filter):
        report.noisy.append(entry.path)
    if min(small.shape[-2:]) < SMALLEST_SIDE:
        report.skipped.append(f"{entry.path} is only {small.shape[-1]}x{small.shape[-2]} after scaling down")
        return
    for top, left, crop in choose_crops(small, preparation, report):
        name = f"{entry.path}@{left},{top}"
        yield name, crop, {"sha256": entry.sha256, "licence": entry.licence, "downscale": factor}


def choose_factor(pixels: np.ndarray, filter: str = "lanczos") -> float:
    """How many times smaller an image is made; see `Preparation.downscale`.

    Args:
        pixels: (C, H, W): uint8, uint16 or float32.
        filter: a key of `FILTERS`.
    """
    if max(pixels.shape[-2:]) < LARGE:
        return 1.0
    luma = _luma(pixels)[None]
    if not is_noise(scale_down(luma, AUTO_FACTORS[0], filter), filter):
        return AUTO_FACTORS[0]
    clean = (factor for factor in AUTO_FACTORS if noise_level(scale_down(luma, factor, filter)) <= CLEAN_ENOUGH)
    return next(clean, AUTO_FACTORS[-1])


def is_noise(pixels: np.ndarray, filter: str = "lanczos") -> bool:
    """Whether what the smoothest places hold is noise: it falls when pixels are averaged, texture stays.

    In an image of a side below `TOLD` pixels there are too few such places to say so.

    Args:
        pixels: (C, H, W): uint8, uint16 or float32.
        filter: a key of `FILTERS`.
    """
    if min(pixels.shape[-2:]) < TOLD:
        return False
    smaller = noise_level(scale_down(pixels, 2.0, filter))
    return smaller < FALL_OF_NOISE * noise_level(pixels)


def scale_down(pixels: np.ndarray, factor: float, filter: str = "lanczos") -> np.ndarray:
    """An image with 1 / factor of its height and width, rounded, in its own dtype.

    Args:
        pixels: (C, H, W): uint8, uint16 or float32.
        factor: 1 or more, any real number.
        filter: a key of `FILTERS`.
    """
    if factor == 1:
        return pixels
    height, width = (max(1, round(side / factor)) for side in pixels.shape[-2:])
    method = FILTERS[filter]
    planes = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
    small = np.stack([np.asarray(Image.fromarray(plane).resize((width, height), method)) for plane in planes])
    if pixels.dtype == np.uint16:
        small = np.rint(small).clip(0, 65535)
    return small.astype(pixels.dtype)


def noise_level(pixels: np.ndarray) -> float:
    """Standard deviation in the smoothest places of an image, in grey levels of 255.

    Each block of 8x8 pixels of the luma loses the plane that fits it best; the answer is the median over the
    smoothest fiftieth of the blocks. It is noise where the image has smooth places, else texture.

    Args:
        pixels: (C, H, W): uint8, uint16 or float32.

    Returns:
        0 where there are too few blocks that are neither dark nor burnt out.
    """
    blocks = _blocks(_luma(pixels) * 255, 8).reshape(-1, 64)
    usable = (blocks.min(axis=1) > 2) & (blocks.max(axis=1) < 253) & (blocks.mean(axis=1) > 20)
    blocks = blocks[usable]
    if len(blocks) < 50:
        return 0.0
    ramp = np.linspace(-1, 1, 8)
    planes = np.stack([np.ones((8, 8)), np.tile(ramp, (8, 1)), np.tile(ramp[:, None], (1, 8))]).reshape(3, 64)
    basis = (planes / np.linalg.norm(planes, axis=1, keepdims=True)).astype(np.float32)
    residual = blocks - blocks @ basis.T @ basis
    deviation = np.sort(np.sqrt((residual**2).sum(axis=1) / (64 - 3)))
    return float(np.median(deviation[: max(10, len(deviation) // 50)]))


def choose_crops(pixels: np.ndarray, preparation: Preparation, report: PackReport) -> list[tuple[int, int, np.ndarray]]:
    """The crops of an image that are worth learning from, as (top, left, crop).

    Squares are laid evenly over the image, overlapping as little as covering it allows; an image not larger than a
    square is one crop. Dark crops and graphics are left out, smooth ones kept up to their share, and of those with
    content the `per_image` with most.

    Args:
        pixels: (C, H, W): uint8, uint16 or float32.
        preparation: crop size and limits.
        report: counts what is kept and left out, over all images.
    """
    content: list[tuple[float, int, int, np.ndarray]] = []
    smooth: list[tuple[float, int, int, np.ndarray]] = []
    sides = [min(side, preparation.crop or side) for side in pixels.shape[-2:]]
    for top in _starts(pixels.shape[-2], sides[0]):
        for left in _starts(pixels.shape[-1], sides[1]):
            crop = pixels[:, top : top + sides[0], left : left + sides[1]]
            kind, score = judge(crop)
            if kind in ("dark", "graphics"):
                report.dropped[kind] += 1
            else:
                (content if kind == "content" else smooth).append((score, top, left, crop))
    content.sort(key=lambda found: -found[0])
    chosen = content[: preparation.per_image]
    report.kept["content"] += len(chosen)
    report.dropped["content"] += len(content) - len(chosen)
    for found in sorted(smooth, key=lambda found: -found[0]):
        total = report.kept.total() + 1
        room = len(chosen) < preparation.per_image and report.kept["smooth"] + 1 <= preparation.smooth * total
        (report.kept if room else report.dropped)["smooth"] += 1
        if room:
            chosen.append(found)
    return [(top, left, crop) for _, top, left, crop in sorted(chosen, key=lambda found: found[1:3])]


def judge(crop: np.ndarray) -> tuple[Kind, float]:
    """What a crop is good for, and how much content it has: the mean deviation of its 8x8 blocks, up to 20 levels.

    It is dark where three fifths of its pixels lie below 8 of 255; graphics (or burnt out) where two fifths of its
    blocks are one single value; smooth where fewer than a tenth of its blocks deviate by 3 levels or more.

    Args:
        crop: (C, H, W): uint8, uint16 or float32.
    """
    luma = _luma(crop) * 255
    blocks = _blocks(luma, 8).reshape(-1, 64)
    deviation = blocks.std(axis=1)
    score = float(np.minimum(deviation, 20).mean())
    if (luma < 8).mean() > 0.6:
        return "dark", score
    if (np.ptp(blocks, axis=1) < 0.1).mean() > 0.4:
        return "graphics", score
    return ("smooth" if (deviation >= 3).mean() < 0.1 else "content"), score


def _starts(length: int, side: int) -> list[int]:
    count = -(-length // side)
    return [round(number) for number in np.linspace(0, length - side, count)]


def _luma(pixels: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H, W) float32 in [0, 1] units."""
    scaled = as_unit_float(pixels)
    luma: np.ndarray = np.einsum("c,chw->hw", LUMA, scaled) if len(scaled) == 3 else scaled.mean(axis=0)
    return luma


def _blocks(plane: np.ndarray, side: int) -> np.ndarray:
    """(H, W) -> (rows, columns, side, side), a remainder left out."""
    height, width = (length // side * side for length in plane.shape)
    blocks = plane[:height, :width].reshape(height // side, side, width // side, side)
    return blocks.swapaxes(1, 2)


def _listed(counts: Counter[Kind]) -> str:
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()) if count)
    return listed or "none"
