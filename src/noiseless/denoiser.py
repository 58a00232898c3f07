"""Denoiser: a network with all that is needed to apply it to an image; `load` finds one, `denoise` is one call.

Only a denoiser knows preprocessing: how an array becomes planes in [0, 1] units, which noise level the network is
told, how a grey network serves any number of channels, and how much of the result is taken.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from noiseless import bundle as bundles
from noiseless import calibration, ceiling
from noiseless.asked import check_strength, model_path, noise_level
from noiseless.bundle import Bundle, NetworkSpec
from noiseless.errors import BundleError, ConfigError, ImageError, SigmaError, UnknownNameError
from noiseless.image import DataRange, Image
from noiseless.inference import Cancel, Progress, blended, restore
from noiseless.runtime import Array, Engine, choose, open_engine
from noiseless.unclipping import unclip

if TYPE_CHECKING:
    from torch import nn

    from noiseless.noise import Noise

    NoiseLevel: TypeAlias = str | Noise | npt.ArrayLike
    """``"auto"``, a noise model or its text, or standard deviations in [0, 1] units."""

PREFERRED = {
    "colour": ("color-small", "color-nano", "gray-small", "gray-nano"),
    "grey": ("gray-small", "gray-nano"),
}
"""Shipped models that ``model="auto"`` takes, the first there is."""

PHOTO = "photo-small"

LOOKED_AT = 512
"""Side of the part of an image that shows whether it is a developed photograph."""

CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors", ".bin")


@dataclass(frozen=True)
class Controls:
    """How a denoiser works, where the usual way does not suit.

    Attributes:
        tile: side of a tile's core in pixels; chosen to fit the memory where ``None``.
        max_memory: bytes that the process may hold; what it holds and half of what is free where ``None``.
        ensemble: average over the eight turns and flips, at eight times the cost.
        luma: strength for the brightness of colour images, 0 to 1.
        chroma: strength for their colours, 0 to 1.

    Raises:
        ConfigError: a strength that is none.
    """

    tile: int | None = None
    max_memory: int | None = None
    ensemble: bool = False
    luma: float = 1.0
    chroma: float = 1.0

    def __post_init__(self) -> None:
        check_strength("luma", self.luma)
        check_strength("chroma", self.chroma)


DEFAULT_CONTROLS = Controls()


class Denoiser:
    """A model that is ready to use.

    ```python
    denoiser = noiseless.load("gray-small")
    clean = denoiser(noisy)
    ```

    Args:
        bundle: what the model is.
        engine: runs its network; or it is still being opened.
        controls: how to work.
    """

    def __init__(self, bundle: Bundle, engine: Engine | Future[Engine], controls: Controls = DEFAULT_CONTROLS) -> None:
        self.bundle = bundle
        self._engine = engine
        self.controls = controls

    @classmethod
    def of(cls, network: nn.Module, name: str = "network", *, controls: Controls = DEFAULT_CONTROLS) -> Denoiser:
        """A denoiser for a PyTorch network that is already there, on the device that it is on.

        Args:
            network: with an attribute ``spec``; put into eval mode.
            name: to show.
            controls: how to work.
        """
        from noiseless.networks import spec_of
        from noiseless.runtime.torch import TorchEngine

        device = next((str(tensor.device) for tensor in network.parameters()), "cpu")
        bundle = Bundle(Path(name), name, type(network).__name__, {}, spec_of(network))
        return cls(bundle, TorchEngine.of(network, device=device), controls)

    @property
    def engine(self) -> Engine:
        """What runs its network.

        Raises:
            NoiselessError: it could not be opened.
        """
        if isinstance(self._engine, Future):
            self._engine = self._engine.result()
        return self._engine

    @property
    def name(self) -> str:
        """The model's name."""
        return self.bundle.name

    @property
    def spec(self) -> NetworkSpec:
        """How its network is applied."""
        return self.bundle.spec

    @property
    def takes_sigma(self) -> bool:
        """Whether its network is told the noise level."""
        return self.spec.conditioning == "sigma"

    def __repr__(self) -> str:
        return f"Denoiser({self.name!r}, network={self.bundle.network!r}, engine={self.engine.name!r})"

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
        """Denoise an array.

        Args:
            array: two axes or more; any integer or float dtype.
            noise: ``"auto"`` measures it in each plane and channel, or is `bundle.told`; else a noise model, its text,
                or standard deviations in [0, 1] units that broadcast to (N, C, H, W). A blind network ignores it.
            strength: 0 returns the input exactly, 1 the full result; an array of (H, W) holds for each pixel.
            channel_axis: axis of colours or channels. Without it a last axis of 3 or 4 is colour (and alpha).
            data_range: a number (0 to that) or a pair: the values that mean black and white. Without it an
                integer image spans its dtype and a float image [0, 1].
            progress: told the share that is done, 0 to 1.
            cancel: asked between tiles whether to stop.

        Returns:
            The same shape and dtype. Floats are not clipped; integers are rounded and clipped.

        Raises:
            ImageError: no image, or NaN or infinite values, or channels that the model does not take.
            ValueRangeError: float values far outside [0, 1] and no data range.
            SigmaError: the network must be told the noise level, and `noise` does not say it.
            MemoryLimitError: the work does not fit into the memory allowed.
            Cancelled: `cancel` said so.
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
        """Denoise an `Image`; see `__call__`."""
        if not isinstance(image, Image):
            raise ImageError("no image", got=type(image).__name__, expected="a noiseless.Image")
        share = check_strength("strength", strength)
        if not share.any():
            return image
        planes = image.planes()
        sigma = self.sigma(planes, noise)
        return image.with_planes(self.planes(planes, sigma, strength=share, progress=progress, cancel=cancel))

    def batch(
        self,
        arrays: Sequence[npt.ArrayLike],
        *,
        noise: NoiseLevel = "auto",
        strength: float = 1.0,
        channel_axis: int | None = None,
        data_range: DataRange | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Denoise many small images; those of one size are run together. See `__call__`."""
        images = [Image.from_array(array, channel_axis=channel_axis, data_range=data_range) for array in arrays]
        share = check_strength("strength", strength)
        if not share.any():
            return [image.array for image in images]
        planes = [image.planes() for image in images]
        restored: list[Array] = [np.empty(0, np.float32)] * len(images)
        done, total = 0, sum(each.size for each in planes)
        for group in _alike(planes):
            together = np.concatenate([planes[number] for number in group])
            start, part = done / total, together.size / total
            report = None if progress is None else lambda s, at=start, of=part: progress(at + of * s)
            result = self.planes(together, self.sigma(together, noise), strength=share, progress=report, cancel=cancel)
            ends = np.cumsum([len(planes[number]) for number in group])
            for number, part_result in zip(group, np.split(result, ends[:-1]), strict=True):
                restored[number] = part_result
            done += together.size
        return [image.with_planes(each).array for image, each in zip(images, restored, strict=True)]

    def sigma(self, planes: Array, noise: NoiseLevel = "auto") -> Array | None:
        """The noise level that the network is told for planes, or ``None`` for a blind network.

        Args:
            planes: (N, C, H, W) in [0, 1] units.
            noise: as of `__call__`.

        Returns:
            Standard deviations in [0, 1] units, broadcastable to the planes.

        Raises:
            SigmaError: `noise` does not say a level.
            SpecError: `noise` is a text that is no noise model, or one for another number of channels.
        """
        if not self.takes_sigma:
            return None
        if noise is None:
            raise SigmaError(f"{self.name} must be told the noise level", fix='Give noise="auto" or "gaussian:25".')
        if isinstance(noise, str) and noise == "auto":
            noise = self.bundle.told or calibration.told_level(planes)
        return noise_level(noise, planes)

    def planes(
        self,
        planes: Array,
        sigma: Array | None,
        *,
        strength: float | npt.ArrayLike = 1.0,
        usual: float | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> Array:
        """Denoise planes: what the other calls come down to.

        Args:
            planes: (N, C, H, W) float32, in [0, 1] units.
            sigma: standard deviations of the noise, from `sigma`.
            strength: as of `__call__`.
            usual: removal that is usual in the image that the planes are a part of, see `noiseless.ceiling`.
            progress: told the share that is done, 0 to 1.
            cancel: asked between tiles whether to stop.

        Returns:
            (N, C, H, W) float32, not clipped.
        """
        share = check_strength("strength", strength)
        if not share.any():
            return planes
        stacked, told = self._fit_channels(planes, sigma)
        restored = restore(
            self.engine,
            stacked,
            told,
            self.spec,
            tile=self.controls.tile,
            max_memory=self.controls.max_memory,
            ensemble=self.controls.ensemble,
            progress=progress,
            cancel=cancel,
        )
        if restored.shape[1] == planes.shape[1] == 3 and _are_equal(planes):
            restored = restored.mean(axis=1, keepdims=True, dtype=np.float32)  # what a colour network adds is no colour
        if restored.size < planes.size:  # a single channel for several that are equal
            restored = np.repeat(restored, planes.shape[1], axis=1)
        restored = restored.reshape(planes.shape)
        if sigma is not None and not self.bundle.unclips:
            unclip(planes, restored, sigma)
        if self.bundle.ceiling is not None:
            each = ceiling.usual_of(planes, restored) if usual is None else [usual]
            restored = ceiling.held(planes, restored, [self.bundle.ceiling * level for level in each])
        return blended(planes, restored, share, luma=self.controls.luma, chroma=self.controls.chroma)

    def _fit_channels(self, planes: Array, sigma: Array | None) -> tuple[Array, Array | None]:
        """Planes with the network's channels: a grey network takes each channel as an image of its own."""
        count, channels, height, width = planes.shape
        if channels == self.spec.channels:
            return planes, sigma
        if self.spec.channels == 1 and _are_equal(planes, sigma):
            return planes[:, :1], None if sigma is None else sigma[:, :1]
        if self.spec.channels != 1:
            raise ImageError(
                f"{self.name} takes images of {self.spec.channels} channels",
                got=channels,
                fix='Take a grey model, which runs on each channel: model="gray-small" (--model gray-small).',
            )
        if sigma is not None:
            sigma = np.broadcast_to(sigma, (count, channels, *sigma.shape[-2:]))
            sigma = sigma.reshape(count * channels, 1, *sigma.shape[-2:])
        return planes.reshape(count * channels, 1, height, width), sigma


def load(
    name: str | Path,
    *,
    precision: str = "exact",
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    controls: Controls = DEFAULT_CONTROLS,
    wait: bool = True,
) -> Denoiser:
    """Load a model.

    Args:
        name: a shipped model, the folder of a bundle, a run folder (its ``best``), a bundle on the Hugging Face Hub
            (``hf:owner/name``), or a checkpoint of another project.
        precision: ``exact`` (float32), ``fast`` (bf16 where the processor has it) or ``int8``; where the model or the
            machine lacks it, the next best, and ``denoiser.engine.note`` says so.
        engine: ``auto``, ``onnxruntime``, ``openvino`` or ``torch``.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: to compute with; all processors that this process may use where ``None``.
        controls: tiles, memory, self-ensemble, and strengths of luma and chroma.
        wait: until the engine is ready; otherwise a thread opens it, and its errors are raised at its first use.

    Raises:
        UnknownNameError: neither a shipped model nor a path; names the closest.
        BundleError: the model cannot be used.
        MissingExtraError: an optional package is needed.
    """
    path = find(name)
    options: dict[str, Any] = {"precision": precision, "engine": engine, "device": device, "threads": threads}
    if path.is_file():
        return _load_foreign(path, options, controls)
    bundle = bundles.read(path)
    if wait:
        return Denoiser(bundle, open_engine(bundle, **options), controls)
    thread = ThreadPoolExecutor(1, thread_name_prefix="noiseless-engine")
    return Denoiser(bundle, thread.submit(open_engine, bundle, **options), controls)


def find(name: str | Path) -> Path:
    """The folder of a bundle, or the file of a checkpoint, that a model name stands for.

    Raises:
        UnknownNameError: neither a shipped model nor a path.
        BundleError: no path, one that is not there, or a bundle on the Hub that cannot be fetched.
        MissingExtraError: a bundle on the Hub, and no client.
    """
    shipped = bundles.shipped()
    if str(name) in shipped:
        return shipped[str(name)]
    from noiseless import hub  # takes as long to import as typer

    if str(name).startswith(hub.PREFIX):
        return hub.fetch(str(name))
    path = model_path(name)
    for folder in (path, path / "best", path / "last"):
        if (folder / bundles.CONFIG).is_file():
            return folder
    if path.exists():
        return path
    if len(path.parts) > 1 or path.suffix in CHECKPOINT_SUFFIXES:
        raise BundleError(f"no model at {path}", got="no such file or folder")
    raise UnknownNameError("model", str(name), shipped)


def choose_model(image: Image, *, told: bool = False, whole: bool = False) -> tuple[str, str]:
    """The shipped model that ``model="auto"`` takes for an image.

    Camera raw is a developed photograph, whose noise is correlated and fools every estimate of its level, so that a
    blind model that has learned such noise is better there; and 8-bit colour, AVIF and HEIC are taken for one, unless
    their noise is one that no developed photograph has. Where the noise is told, the model is one that can be told.

    Args:
        image: what shall be denoised, or a part of it.
        told: whether the noise level is given.
        whole: whether this is all there is, and not the first of many rows or frames: then equal channels are grey.

    Returns:
        Its name, and the reason in words.

    Raises:
        BundleError: no model is shipped.
    """
    shipped = bundles.shipped()
    is_colour = image.is_colour and not (whole and image.shows_grey)
    is_blind = is_colour and not told and PHOTO in shipped
    if is_blind and image.metadata.get("developed", False):
        return PHOTO, "camera raw, a developed photograph"
    kept = {"avif": "AVIF", "heic": "HEIC"}.get(image.metadata.get("format", ""), "8-bit colour")
    may_be_photograph = is_blind and (image.array.dtype == np.uint8 or kept != "8-bit colour")
    if may_be_photograph and not calibration.has_independent_noise(_middle(image)):
        return PHOTO, f"{kept}, taken for a developed photograph"
    kind = "colour" if is_colour else "grey"
    name = next((name for name in PREFERRED[kind] if name in shipped), None)
    if name is None:
        raise BundleError("no model comes with this installation", fix="Name one: --model PATH (model=PATH).")
    if may_be_photograph:
        return name, f"{kept}, each with noise of its own"
    if kind == "colour":
        return name, "a colour image" if name.startswith("color") else "channel by channel: no colour model is shipped"
    if image.is_colour:
        return name, "a grey image, stored as colours"
    return name, "a grey image" if image.channels == 1 else f"each of {image.channels} channels by itself"


def _middle(image: Image) -> Array:
    """The middle of the first plane of an image, (C, H, W), as large as it takes to know its noise."""
    starts = {axis: max(0, size - LOOKED_AT) // 2 for axis, size in (("Y", image.height), ("X", image.width))}
    spans = {axis: slice(start, start + LOOKED_AT) for axis, start in starts.items()} | {"C": slice(None)}
    index = tuple(spans.get(axis, slice(1)) for axis in image.axes)
    hidden = None if image.hidden is None else image.hidden[index]
    middle: Array = replace(image, array=image.array[index], hidden=hidden).planes()[0]
    return middle


def denoise(
    array: npt.ArrayLike,
    model: str | Path = "auto",
    *,
    noise: NoiseLevel = "auto",
    strength: float | npt.ArrayLike = 1.0,
    channel_axis: int | None = None,
    data_range: DataRange | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> npt.NDArray[Any]:
    """Denoise an array in one call.

    ```python
    clean = noiseless.denoise(noisy)
    clean = noiseless.denoise(stack, model="gray-small", noise="gaussian:25", data_range=4095)
    ```

    Args:
        array: two axes or more; any integer or float dtype.
        model: as `load` takes it, or ``"auto"``: the shipped model for this kind of image, see `choose_model`.
        noise: as of `Denoiser.__call__`, and so are the others.

    Returns:
        The same shape and dtype.

    Raises:
        NoiselessError: what `load` and `Denoiser.__call__` raise.
    """
    image = Image.from_array(array, channel_axis=channel_axis, data_range=data_range)
    told = not (isinstance(noise, str) and noise == "auto")
    name = choose_model(image, told=told, whole=True)[0] if model == "auto" else model
    denoiser = _load_shipped(str(name)) if str(name) in bundles.shipped() else load(name)
    return denoiser.image(image, noise=noise, strength=strength, progress=progress, cancel=cancel).array


_load_shipped = functools.lru_cache(maxsize=4)(load)


def _load_foreign(path: Path, options: dict[str, Any], controls: Controls) -> Denoiser:
    """A denoiser from another project's checkpoint, which torch runs."""
    from noiseless.runtime.torch import TorchEngine, load_foreign

    if options["engine"] not in ("auto", "torch"):
        raise ConfigError("only torch runs a checkpoint of another project", got=f"engine={options['engine']}")
    bundle, network = load_foreign(path)
    choice = choose(bundle, engine="torch", precision=options["precision"], device=options["device"])
    engine = TorchEngine.of(network, precision=choice.precision, device=options["device"], threads=options["threads"])
    engine.note = choice.note
    return Denoiser(bundle, engine, controls)


def _are_equal(planes: Array, sigma: Array | None = None) -> bool:
    """Whether all channels are the same, and so is the noise level told for each."""
    same = planes.shape[1] > 1 and (sigma is None or bool((sigma == sigma[:, :1]).all()))
    first_row = planes[..., :1, :]  # tells most images that are not
    return same and all(bool((part[:, 1:] == part[:, :1]).all()) for part in (first_row, planes))


def _alike(planes: Sequence[Array]) -> list[list[int]]:
    """Numbers of the images that have one shape, for each shape."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, each in enumerate(planes):
        groups.setdefault(each.shape[1:], []).append(number)
    return list(groups.values())
