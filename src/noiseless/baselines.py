"""Classical denoisers, called like a `Denoiser`: what a network has to beat.

| name | method | from | told the noise level |
|---|---|---|---|
| `bm3d` | block matching and 3-D filtering | package bm3d, standard profile | yes |
| `nlm` | non-local means | scikit-image, fast mode | yes |
| `wavelet` | wavelet shrinkage, translation-invariant | scikit-image and PyWavelets | yes |
| `tv` | total variation | scikit-image | yes |
| `median` | median of 3x3 pixels | SciPy | no |
| `identity` | the noisy image itself | | no |

All but the last two need ``pip install "noiseless[baselines]"``. The methods are made for white Gaussian noise: where a
noise model gives each pixel a standard deviation of its own, they are told its root mean square in each channel.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noiseless import tables
from noiseless.asked import check_strength, noise_level
from noiseless.calibration.telling import pixel_level
from noiseless.errors import EXTRAS, Cancelled, MissingExtraError
from noiseless.image import DataRange, Image
from noiseless.inference import Cancel, Progress

if TYPE_CHECKING:
    from noiseless.denoiser import NoiseLevel

Array = npt.NDArray[np.float32]
Method = Callable[[Array, Array], npt.NDArray[Any]]
"""(C, H, W) in [0, 1] units and sigma (C,) to a restored (C, H, W); C is 1 or, for colour, 3."""

BASELINES: dict[str, str] = {
    "bm3d": "noiseless.baselines:BM3D",
    "nlm": "noiseless.baselines:NLM",
    "wavelet": "noiseless.baselines:WAVELET",
    "tv": "noiseless.baselines:TV",
    "median": "noiseless.baselines:MEDIAN",
    "identity": "noiseless.baselines:IDENTITY",
}
"""Names to baselines; other packages add theirs through the entry point group ``noiseless.baselines``."""

SMALLEST_SIDE = 16
"""Smaller images are mirrored up to this: bm3d ends the process at 8 pixels."""

LEAST_SIGMA = 1e-6
"""Below this there is no noise to remove."""


@dataclass(frozen=True)
class Baseline:
    """A classical method with the call of a `Denoiser`.

    Attributes:
        name: key of `BASELINES`.
        method: restores one image.
        takes_sigma: whether the method is told the noise level.
        needs: the packages, as they are imported, that the method needs beyond the core.
    """

    name: str
    method: Method
    takes_sigma: bool = True
    needs: tuple[str, ...] = ()

    def __call__(
        self,
        array: npt.ArrayLike,
        *,
        noise: NoiseLevel = "auto",
        strength: float | npt.ArrayLike = 1.0,
        channel_axis: int | None = None,
        data_range: DataRange | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> npt.NDArray[Any]:
        """Denoise an array; arguments, result and errors are those of `noiseless.denoiser.Denoiser.__call__`.

        Raises:
            MissingExtraError: a package that the method needs is not installed.
        """
        image = Image.from_array(array, channel_axis=channel_axis, data_range=data_range)
        return self.image(image, noise=noise, strength=strength, progress=progress, cancel=cancel).array

    def image(
        self,
        image: Image,
        *,
        noise: NoiseLevel = "auto",
        strength: float | npt.ArrayLike = 1.0,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Image:
        """Denoise an `Image`; see `__call__`. `cancel` is asked between planes."""
        self.check()
        share = check_strength("strength", strength)
        planes = image.planes()
        levels = self.sigma(planes, noise)
        restored = np.empty_like(planes)
        for number, (plane, level) in enumerate(zip(planes, levels, strict=True)):
            if cancel is not None and cancel():
                raise Cancelled("stopped before the image was done")
            restored[number] = self._restore(plane, level, colour=image.is_colour)
            if progress is not None:
                progress((number + 1) / len(planes))
        if share.ndim or share != 1:
            restored = planes + share * (restored - planes)
        return image.with_planes(restored)

    def batch(self, arrays: Sequence[npt.ArrayLike], **options: Any) -> list[npt.NDArray[Any]]:
        """Denoise several arrays, one after another; `options` are those of `__call__`."""
        return [self(array, **options) for array in arrays]

    def sigma(self, planes: Array, noise: NoiseLevel = "auto") -> Array:
        """The noise level that the method is told: the root mean square over each channel of each plane.

        Args:
            planes: (N, C, H, W) in [0, 1] units.
            noise: as of `__call__`.

        Returns:
            (N, C); zeros for a method that is told none.

        Raises:
            SigmaError: `noise` does not say a level.
        """
        count, channels = planes.shape[:2]
        if not self.takes_sigma:
            return np.zeros((count, channels), np.float32)
        auto = isinstance(noise, str) and noise == "auto"
        level = np.broadcast_to(pixel_level(planes) if auto else noise_level(noise, planes), planes.shape)
        square: Array = np.mean(level.astype(np.float64) ** 2, axis=(2, 3))
        return np.sqrt(square).astype(np.float32)

    def check(self) -> None:
        """Raise MissingExtraError unless the packages that the method needs are installed."""
        for package in self.needs:
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(f"the baseline {self.name}", EXTRAS[package])

    def _restore(self, plane: Array, sigma: Array, *, colour: bool) -> Array:
        """One plane (C, H, W): colour at once, anything else channel by channel."""
        if self.takes_sigma and float(sigma.max()) < LEAST_SIGMA:
            return plane
        height, width = plane.shape[-2:]
        missing = [(0, max(0, SMALLEST_SIDE - side)) for side in (height, width)]
        large = np.pad(plane, [(0, 0), *missing], mode="symmetric") if any(map(any, missing)) else plane
        parts = [slice(None)] if colour else [slice(number, number + 1) for number in range(len(plane))]
        restored = [self.method(large[part], np.maximum(sigma[part], LEAST_SIGMA)) for part in parts]
        return np.concatenate(restored)[:, :height, :width].astype(np.float32, copy=False)


def load(name: str) -> Baseline:
    """A baseline by its name.

    Raises:
        UnknownNameError: no baseline of this name.
        MissingExtraError: a package that it needs is not installed.
    """
    baseline: Baseline = tables.load("baseline", name, BASELINES, "noiseless.baselines")
    baseline.check()
    return baseline


# -- the methods: (C, H, W) float32 and sigma (C,) to (C, H, W) ---------------------------------------------


def bm3d(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """Block matching and 3-D filtering, both stages, standard profile; colour in an opponent space, matched in luma.

    Dabov, Foi, Katkovnik, Egiazarian: Image denoising by sparse 3-D transform-domain collaborative filtering. IEEE
    Transactions on Image Processing 16, 2007; in the form of Mäkinen, Azzari, Foi, 2020. The package's licence allows
    noncommercial use only, so noiseless does not bring it.
    """
    from bm3d import bm3d as grey
    from bm3d import bm3d_rgb as colour

    values = image.astype(np.float64)
    spread = np.ptp(np.tensordot(OPPONENT, values, axes=1), axis=(1, 2)) if len(image) == 3 else np.zeros(1)
    if spread.min() > 1e-6:  # bm3d_rgb divides by that
        restored = colour(values.transpose(1, 2, 0), [float(level) for level in sigma])
        return np.asarray(restored).transpose(2, 0, 1)
    return np.stack([grey(channel, float(level)) for channel, level in zip(values, sigma, strict=True)])


def nlm(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """Non-local means, with patches and windows that grow with the noise; colour patches are compared at once.

    Buades, Coll, Morel: Non-local means denoising. Image Processing On Line 1, 2011, whose table gives the sizes and,
    for colour, the strength h. Their grey h is for averages of whole patches; scikit-image averages single pixels,
    for which 0.6 sigma measures better (by 0.4 dB on Set12 at sigma 25), and so do 5x5 patches at low noise.
    """
    from skimage.restoration import denoise_nl_means

    level = float(np.sqrt(np.mean(sigma.astype(np.float64) ** 2)))
    patch, distance, strength = _nlm_sizes(round(255 * level, 3), colour=len(image) == 3)
    restored = denoise_nl_means(
        image if len(image) == 3 else image[0],
        patch_size=patch,
        patch_distance=distance,
        h=strength * level,
        sigma=level,
        fast_mode=True,
        preserve_range=True,
        channel_axis=0 if len(image) == 3 else None,
    )
    return np.asarray(restored).reshape(image.shape)


NLM_GREY = ((30, (5, 10, 0.60)), (45, (7, 17, 0.40)), (75, (9, 17, 0.35)), (math.inf, (11, 17, 0.35)))
NLM_COLOUR = ((25, (3, 10, 0.55)), (55, (5, 17, 0.40)), (math.inf, (7, 17, 0.35)))
"""Up to which sigma, on the 0-255 scale: side of a patch, reach of the search, h / sigma."""


def _nlm_sizes(sigma: float, *, colour: bool) -> tuple[int, int, float]:
    """Side of a patch, reach of the search and h / sigma, for a sigma on the 0-255 scale."""
    rows = NLM_COLOUR if colour else NLM_GREY
    return next(sizes for limit, sizes in rows if sigma <= limit)


def wavelet(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """Soft thresholds chosen for each band, averaged over 4x4 shifts; colour in an opponent space.

    Chang, Yu, Vetterli: Adaptive wavelet thresholding for image denoising and compression (BayesShrink). IEEE
    Transactions on Image Processing 9, 2000; Coifman, Donoho: Translation-invariant de-noising, 1995. Daubechies
    wavelets of two vanishing moments, up to five levels.
    """
    from pywt import Wavelet, dwt_max_level
    from skimage.restoration import denoise_wavelet

    levels = max(1, min(WAVELET_LEVELS, dwt_max_level(min(image.shape[-2:]), Wavelet("db2").dec_len)))

    def shrink(channel: npt.NDArray[Any], level: float) -> npt.NDArray[Any]:
        total = np.zeros_like(channel)
        for shift in np.ndindex(SHIFTS, SHIFTS):
            moved = np.roll(channel, shift, (0, 1))
            cleaned = denoise_wavelet(moved, sigma=level, wavelet="db2", mode="soft", wavelet_levels=levels)
            total += np.roll(cleaned, (-shift[0], -shift[1]), (0, 1))
        return total / SHIFTS**2

    return _in_opponents(image, sigma, shrink)


def tv(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """Total variation with a weight of 0.8 sigma; colour in an opponent space.

    Rudin, Osher, Fatemi: Nonlinear total variation based noise removal algorithms, 1992; solved as in Chambolle,
    2004. The rule there, to remove exactly as much as there is noise, chooses a larger weight that costs 0.7 dB of PSNR
    on Set12 at sigma 25.
    """
    from skimage import restoration

    chambolle: Callable[..., npt.NDArray[Any]] = restoration.denoise_tv_chambolle
    return _in_opponents(image, sigma, lambda channel, level: chambolle(channel, weight=0.8 * level))


def median(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """Median of 3x3 pixels, mirrored at the border."""
    from scipy.ndimage import median_filter

    return np.stack([median_filter(channel, size=3, mode="reflect") for channel in image])


def identity(image: Array, sigma: Array) -> npt.NDArray[Any]:
    """The noisy image."""
    return image


SHIFTS = 4
WAVELET_LEVELS = 5

OPPONENT = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
"""Red, green and blue to brightness and two colour differences; orthonormal, so that white noise stays white."""


def _in_opponents(
    image: Array, sigma: Array, restore: Callable[[npt.NDArray[Any], float], npt.NDArray[Any]]
) -> npt.NDArray[Any]:
    """Restore each channel with its noise level; for colour, the channels of `OPPONENT`."""
    to = OPPONENT if len(image) == 3 else np.eye(len(image))
    channels = np.tensordot(to, image.astype(np.float64), axes=1)
    levels = np.sqrt(to**2 @ sigma.astype(np.float64) ** 2)
    restored = np.stack([restore(channel, float(level)) for channel, level in zip(channels, levels, strict=True)])
    return np.tensordot(to.T, restored, axes=1)


BM3D = Baseline("bm3d", bm3d, needs=("bm3d",))
NLM = Baseline("nlm", nlm, needs=("skimage",))
WAVELET = Baseline("wavelet", wavelet, needs=("skimage", "pywt"))
TV = Baseline("tv", tv, needs=("skimage",))
MEDIAN = Baseline("median", median, takes_sigma=False)
IDENTITY = Baseline("identity", identity, takes_sigma=False)
