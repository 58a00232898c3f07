"""Noise of developed photographs: what a camera's JPEG looks like, made from clean pictures.

Real developed noise is unlike white noise: correlated over several pixels, mostly luma, weaker in highlights,
and JPEG decides its finest part. Here its *shape* follows from a sensor, a raw development and in-camera
smoothing (`developing`, `shaping`), its *strength* is drawn, so that it covers what cameras leave behind and
more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.special import ndtr

from noiseless.errors import SpecError
from noiseless.noise import developing, scenery, shaping
from noiseless.noise.base import Noise
from noiseless.noise.values import Number, Value, bounds, is_range

REFERENCE = 0.45
"""The sRGB value at which `Camera.level` is meant."""


@dataclass(frozen=True)
class Level(Number):
    """Rule of a strength: a range is drawn from in its logarithm, mostly near its middle (Beta(2, 2))."""

    def draw(self, value: Value, generator: np.random.Generator) -> Value:
        """The value itself, or a number of the range."""
        if not is_range(value):
            return value
        low, high = bounds(value)
        return float(low * (high / low) ** generator.beta(2, 2))


_SHARE = Number(high=1.0)

HALVED = 0.8
"""Share of native pictures whose colours are stored at half resolution."""


@dataclass(frozen=True)
class Camera(Noise):
    """Noise of developed photographs; pictures have three channels, sRGB in [0, 1].

    Args:
        level: standard deviation of luma at middle grey before JPEG, in [0, 1] units.
        chroma: standard deviation of chroma (channels minus their mean) relative to luma's.
        quality: of the JPEG file.
        raw: share of pictures whose noise comes from a Bayer sensor; others have generic correlated noise.
        compressed: share that is saved as JPEG.
        resampled: share that was made smaller or larger after the noise came in.
        untouched: share that gets no noise at all.
        soft: share of the clean pictures that `pair` makes soft first.
        relit: share of the clean pictures that `pair` makes darker, flatter or of other colours first.
        sharpened: share of the clean pictures that `pair` sharpens.
        native: share of pictures as cameras leave them at full size: noise is much stronger in texture than where it
            is flat, which the camera smoothed; its chroma is coarse; `pair` halves the resolution of colours and
            softens more.
    """

    name: ClassVar[str] = "camera"
    level: Annotated[Value, Level(low=1e-4, high=0.5)] = (0.6 / 255, 16 / 255)
    chroma: Annotated[Value, Level(low=1e-3, high=3.0)] = (0.18, 1.2)
    quality: Annotated[Value, Number(low=1, high=100, integer=True)] = (60, 100)
    raw: Annotated[float, _SHARE] = 0.6
    compressed: Annotated[float, _SHARE] = 0.7
    resampled: Annotated[float, _SHARE] = 0.5
    untouched: Annotated[float, _SHARE] = 0.08
    soft: Annotated[float, _SHARE] = 0.6
    relit: Annotated[float, _SHARE] = 0.25
    sharpened: Annotated[float, _SHARE] = 0.25
    native: Annotated[float, _SHARE] = 0.0

    @property
    def pointwise(self) -> bool:
        """No: what becomes of a pixel depends on its neighbours."""
        return False

    def corrupt(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """The picture with this noise, in multiples of 1/255; the clean picture is taken as it is.

        Three channels are colour; any other number of channels are grey pictures, each with noise of its own.
        """
        if 0 in clean.shape:
            return clean.copy()
        if clean.ndim == 4 or (clean.ndim == 3 and clean.shape[0] != 3):
            return np.stack([self.corrupt(one, generator) for one in clean])
        if clean.ndim == 2:
            return np.asarray(self.corrupt(np.repeat(clean[None], 3, axis=0), generator)[1])
        drawn = self._decided(generator)
        if generator.random() < drawn.untouched:
            return _as_stored(clean)
        noisy, taken, _ = drawn._expose(clean, generator)
        return _as_stored(noisy if taken is clean else noisy - taken + clean)

    def pair(self, clean: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A noisy picture and what a denoiser should make of it.

        Softening, sharpening, tone and resampling change both alike; so the target is not `clean`. Where noise is
        clipped, near black and white, the target is what remains of the picture on average: a denoiser that learned to
        undo that shift would shift the brightness of pictures that have none. Nor is it to learn to sharpen colours
        that JPEG stores at half resolution: those of the target have it too.

        Args:
            clean: (3, H, W), float32 in [0, 1].
            generator: the only source of randomness.

        Returns:
            noisy, target: float32 of the shape of `clean` in [0, 1]; noisy in multiples of 1/255.

        Raises:
            SpecError: a picture without three channels.
        """
        if clean.ndim != 3 or clean.shape[0] != 3:
            raise SpecError("camera noise needs colour", got=f"shape {clean.shape}", expected="(3, H, W)")
        drawn = self._decided(generator)
        target = drawn._prepare(clean, generator)
        if generator.random() < drawn.untouched:
            return _as_stored(target), target
        noisy, _, target = drawn._expose(target, generator)
        return _as_stored(noisy), np.clip(target, 0, 1)

    def _decided(self, generator: np.random.Generator) -> Camera:
        """One camera of the range, which is native or not."""
        drawn = self.draw(generator)
        return replace(drawn, native=float(generator.random() < drawn.native)) if drawn.native else drawn

    def _prepare(self, clean: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        changes = [
            (self.relit, scenery.relight),
            (self.soft, scenery.soften_natively if self.native else scenery.soften),
            (self.sharpened, scenery.sharpen),
        ]
        if self.native:
            changes.append((HALVED, scenery.halve_colours))
        picture = clean
        for share, change in changes:
            if generator.random() < share:
                picture = change(picture, generator)
        return picture if picture is clean else np.clip(picture, 0, 1)

    def _expose(self, clean: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The noisy picture, the clean one after the same resampling, and what is left of that on average."""
        if generator.random() < self.resampled:
            noisy, taken, mean = self._resampled(clean, generator)
        else:
            noise = self._noise(clean, generator)
            noisy, taken, mean = clean + noise, clean, clipped_mean(clean, noise)
        if generator.random() < self.compressed:
            noisy, mean = _compress(noisy, mean, int(bounds(self.quality)[0]), generator)
        return noisy, taken, mean

    def _resampled(
        self, clean: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noise that came in at another size: all pictures at the size of `clean`."""
        height, width = clean.shape[-2:]
        factor = generator.uniform(1.15, 1.9) if generator.random() < 0.6 else generator.uniform(0.6, 0.95)
        size = max(round(height * factor), 2), max(round(width * factor), 2)
        taken = np.clip(scenery.resize(clean, size), 0, 1)
        noise = self._noise(taken, generator, gain=math.sqrt(max(factor, 1.0)))
        noisy, mean = np.clip(taken + noise, 0, 1), clipped_mean(taken, noise)
        if generator.random() < 0.5:
            noisy, mean = _compress(noisy, mean, int(generator.integers(80, 99)), generator)
        resampling = scenery.draw_filter(generator)
        resized = [scenery.resize(picture, (height, width), resampling) for picture in (noisy, taken, mean)]
        return resized[0], resized[1], resized[2]

    def _noise(self, clean: np.ndarray, generator: np.random.Generator, gain: float = 1.0) -> np.ndarray:
        """Noise for a clean picture; `gain` makes up for what shrinking will take away."""
        height, width = clean.shape[-2:]
        even = np.pad(clean, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        level = gain * float(bounds(self.level)[0])
        source, blur = (_sensor_noise, 0.7) if generator.random() < self.raw else (_generic_noise, 1.1)
        noise, strength = source(even, level, generator)
        spectra = shaping.draw_luma(generator, blur), shaping.draw_chroma(generator, 1.1 if self.native else 0.9)
        luma, chroma = shaping.shape_noise(noise, *spectra)
        luma = luma * (level * strength / shaping.spread(luma))
        if generator.random() < 0.08:
            luma = luma + _stripes(luma.shape, level * strength, generator)
        chroma = chroma * (level * strength * float(bounds(self.chroma)[0]) / shaping.spread(chroma))
        shaped = luma + chroma
        share, most, activity = (0.75, 2.5, 0.04) if self.native else (0.5, 1.2, 0.06)
        if generator.random() < share:
            shaped *= 1 + np.float32(generator.uniform(0, most)) * scenery.texture(even, activity)
        return shaped[:, :height, :width]


def clipped_mean(clean: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """What remains of a picture on average when noise is added and the sum is clipped to [0, 1].

    The mean of a clipped normal distribution, whose deviation is that of the noise around each pixel.

    Args:
        clean: (C, H, W) in [0, 1].
        noise: of the same shape, before clipping.

    Returns:
        float32, of the same shape.
    """
    spread = np.sqrt(uniform_filter(np.square(noise), (0, 21, 21), mode="reflect").clip(1e-10))
    return np.asarray(clean + _lifted(clean / spread) * spread - _lifted((1 - clean) / spread) * spread, np.float32)


def _lifted(above: np.ndarray) -> np.ndarray:
    """How much clipping at 0 lifts the mean of a normal distribution of deviation 1 and mean `above`."""
    return np.asarray(np.exp(-0.5 * np.square(above)) / math.sqrt(2 * math.pi) - above * ndtr(-above))


def _as_stored(picture: np.ndarray) -> np.ndarray:
    return scenery.to_bytes(picture).astype(np.float32) / np.float32(255)


def _sensor_noise(clean: np.ndarray, level: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Noise of a sensor, and how strong it is in this picture relative to middle grey.

    The sensor is noisier than `level`, by what in-camera smoothing will take away.
    """
    development = developing.draw_development(generator)
    shot = min(level**2 * math.exp(generator.uniform(1.0, 3.5)), 0.02)
    read = developing.read_variance(shot, generator)
    noise = developing.developed_noise(clean, shot, read, development, generator)
    table = np.sqrt(shot * development.linear_table() + read) * developing.slope_table(development, shot, read)
    return noise, _relative_strength(table, clean)


def _generic_noise(clean: np.ndarray, level: float, generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """White noise whose strength depends on brightness in some smooth way, and how strong it is in this picture."""
    values = np.linspace(0, 1, developing.LEVELS)
    bend, fade, gloss = generator.uniform(-2.0, 0.8), generator.uniform(0.0, 0.2), generator.uniform(0.0, 0.5)
    table = np.exp(bend * (values - REFERENCE)) * (values + 0.02) / (values + 0.02 + fade)
    table = (table * (1.02 - values) / (1.02 - values + gloss)).astype(np.float32)
    white = generator.standard_normal((4, *clean.shape[-2:]), dtype=np.float32)
    balance = np.exp(generator.normal(0, 0.25, (3, 1, 1))).astype(np.float32)
    noise = white[3] + balance * (white[:3] - white[:3].mean(axis=0))
    return noise * table[scenery.to_bytes(clean)], _relative_strength(table, clean)


def _relative_strength(table: np.ndarray, clean: np.ndarray) -> float:
    """Root mean square of a table of strengths over a picture's green, relative to that at middle grey."""
    reference = table[round(REFERENCE * (developing.LEVELS - 1))]
    here = shaping.spread(table[scenery.to_bytes(clean[1])])
    return float(np.clip(here / reference, 0.2, 2.0))


def _stripes(shape: tuple[int, int], level: float, generator: np.random.Generator) -> np.ndarray:
    """Rows or columns that are a little brighter or darker, as amplifiers of a sensor make them."""
    size = (shape[0], 1) if generator.random() < 0.6 else (1, shape[1])
    return np.asarray(generator.normal(0, level * generator.uniform(0.1, 0.35), size), np.float32)


def _compress(
    noisy: np.ndarray, mean: np.ndarray, quality: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """JPEG with colours at full or half resolution; half of the pictures are crops, whose grid of blocks is off.

    The mean of such pictures has colours of that resolution too, and next to none of the rounding.
    """
    subsampling = 2 if generator.random() < 0.75 else int(generator.integers(2))
    offset = generator.integers(0, 16, 2) if generator.random() < 0.5 else (0, 0)
    place = subsampling, (int(offset[0]), int(offset[1]))
    return scenery.jpeg(noisy, quality, *place), scenery.jpeg(mean, 100, *place) if subsampling else mean
