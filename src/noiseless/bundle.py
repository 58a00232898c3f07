"""The model bundle: one folder with a network's weights and everything needed to apply it.

    config.json         network and constructor arguments, spec, noise trained for, value range, hashes
    model.safetensors   the weights, once
    model.onnx          the graph; its weights are ONNX external data that point into model.safetensors
    model.int8.onnx     the same in int8, where it meets its bound
    README.md           the model card
    train.json          how it was trained

Reading one imports neither torch nor an engine. A bundle appears whole or not at all: it is written into a
folder beside its place, then renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from noiseless.errors import BundleError
from noiseless.io.atomic import not_written

Conditioning = Literal["none", "sigma"]

FORMAT_VERSION = 1
CONFIG, WEIGHTS, GRAPH, INT8_GRAPH = "config.json", "model.safetensors", "model.onnx", "model.int8.onnx"
CARD, TRAIN = "README.md", "train.json"
SHIPPED = Path(__file__).parent / "weights"
"""Folder of the bundles that come with the package."""

HEADER_LENGTH_BYTES = 8


@dataclass(frozen=True)
class NetworkSpec:
    """What must be known about a network to apply it to an image.

    Attributes:
        channels: image channels in and out.
        multiple_of: height and width must be divisible by this.
        minimum_size: smallest height and width, in pixels.
        halo: pixels of context that a tile needs on each side so that tiled and whole differ by at most 1e-5;
            ``None`` for a network that pools over the whole image.
        conditioning: ``"sigma"`` when `forward` takes the noise standard deviation, else ``"none"``.

    Raises:
        ValueError: a number that is none of these, or another conditioning.
    """

    channels: int
    multiple_of: int = 1
    minimum_size: int = 1
    halo: int | None = 0
    conditioning: Conditioning = "none"

    def __post_init__(self) -> None:
        least = {"channels": 1, "multiple_of": 1, "minimum_size": 1} | ({} if self.halo is None else {"halo": 0})
        for name, low in least.items():
            if not isinstance(value := getattr(self, name), int) or value < low:
                raise ValueError(f"{name} {value!r}, expected a whole number from {low} on")
        if self.conditioning not in get_args(Conditioning):
            raise ValueError(f"conditioning {self.conditioning!r}, expected {' or '.join(get_args(Conditioning))}")


@dataclass(frozen=True)
class Bundle:
    """A network that can be applied: where it lies and what its config says.

    Attributes:
        path: the bundle's folder, or the file of a foreign checkpoint.
        name: the model's name.
        network: key of the network table.
        arguments: constructor arguments of the network; plain data.
        spec: how to apply the network.
        noise: the noise it was trained for, as `noiseless.noise.Noise.to_dict` writes it.
        told: the noise that ``noise="auto"`` tells it, as a noise expression; measured in each image where ``None``.
        ceiling: most that is removed around a pixel, as a multiple of what is usually removed from an image, see
            `noiseless.ceiling`; no bound where ``None``.
        unclips: whether the network has learned from clipped noise to undo clipping; else `noiseless.unclipping` does.
        data_range: pixel values that the network takes for black and white.
        bytes_per_pixel: memory that float32 activations need at their peak for each pixel, where known.
        format_version: of the folder's layout.
        extra: whatever else the config holds.
    """

    path: Path
    name: str
    network: str
    arguments: Mapping[str, Any]
    spec: NetworkSpec
    noise: Mapping[str, Any] | None = None
    told: str | None = None
    ceiling: float | None = None
    unclips: bool = False
    data_range: tuple[float, float] = (0.0, 1.0)
    bytes_per_pixel: float | None = None
    format_version: int = FORMAT_VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights_path(self) -> Path:
        """File of the weights."""
        return self.path / WEIGHTS

    @property
    def graph_path(self) -> Path:
        """File of the ONNX graph; a foreign checkpoint has none."""
        return self.path / GRAPH

    @property
    def int8_graph_path(self) -> Path:
        """File of the int8 ONNX graph, which not every bundle has."""
        return self.path / INT8_GRAPH

    def config(self) -> dict[str, Any]:
        """What config.json holds, but for the hashes."""
        names = {item.name for item in fields(self)} - {"path", "extra"}
        plain = {name: getattr(self, name) for name in sorted(names)}
        return {**self.extra, **plain, "spec": asdict(self.spec)}

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The weights by name, in the precision they are stored in."""
        from safetensors.numpy import load_file

        return dict(load_file(self.weights_path))


class Stored(NamedTuple):
    """Where a tensor lies in a safetensors file: `offset` and `length` in bytes from the file's beginning."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def read(path: str | Path) -> Bundle:
    """Read and check the bundle in a folder.

    Args:
        path: the bundle's folder.

    Raises:
        BundleError: a file is missing or truncated, does not match its hash, or has a format this version
            does not know.
    """
    folder = Path(path)
    if not folder.is_dir() and _previous(folder).is_dir():
        folder = _previous(folder)  # its writer was killed between two renames
    config = _read_config(folder)
    version = config.pop("format_version", None)
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise BundleError(
            f"the bundle {folder} has an unknown format",
            got=f"format_version {version!r}",
            expected=FORMAT_VERSION,
            fix="Install a newer noiseless." if newer else None,
        )
    files = config.pop("files", {WEIGHTS: None})
    if not isinstance(files, dict):
        raise BundleError(f"the bundle {folder} is damaged", got=f"files {files!r}", expected="names and their hashes")
    for name, digest in files.items():
        _check_file(folder / name, digest)
    return _from_config(folder, config)


def write(bundle: Bundle, files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle's folder, whole or not at all, in the place of one that is there.

    Args:
        bundle: its config; `path` says where to.
        files: the other files' contents by name.

    Returns:
        The bundle.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = bundle.path
    beside = folder.parent / f".{folder.name}.{os.getpid()}"
    digests = {name: _digest(files[name]) for name in (WEIGHTS, GRAPH, INT8_GRAPH) if name in files}
    config = json.dumps({**bundle.config(), "files": digests}, indent=2) + "\n"
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for name, content in {**files, CONFIG: config.encode()}.items():
            (beside / name).write_bytes(content)
        _replace(beside, folder)
    except OSError as error:
        raise not_written(f"cannot write the bundle {folder}", error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return bundle


def shipped() -> dict[str, Path]:
    """Folders of the models that come with the package, by name."""
    return {config.parent.name: config.parent for config in sorted(SHIPPED.glob(f"*/{CONFIG}"))}


def layout(path: Path) -> dict[str, Stored]:
    """Where each tensor of a safetensors file lies.

    Raises:
        BundleError: not a safetensors file, or truncated.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(HEADER_LENGTH_BYTES), "little")
            size = path.stat().st_size
            if length + HEADER_LENGTH_BYTES > size:
                raise ValueError(f"a header of {length} bytes in a file of {size}")
            return parse_layout(stream.read(length), length + HEADER_LENGTH_BYTES, size)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} is not a whole safetensors file"
        raise BundleError(what, got=str(error), fix="Fetch it again.") from error


def parse_layout(header: bytes, start: int, size: int) -> dict[str, Stored]:
    """The tensors that a safetensors header lists.

    Args:
        header: JSON text.
        start: byte of the file where the data begins.
        size: bytes of the file.

    Raises:
        ValueError: not a header, or the data ends beyond the file.
    """
    entries = json.loads(header)
    entries.pop("__metadata__", None)
    found = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        found[name] = Stored(entry["dtype"], tuple(entry["shape"]), start + begin, end - begin)
    needed = max((stored.offset + stored.length for stored in found.values()), default=start)
    if needed != size:
        raise ValueError(f"{size} bytes where the header says {needed}")
    return found


def pack(tensors: Mapping[str, npt.NDArray[Any]]) -> tuple[bytes, dict[str, Stored]]:
    """Tensors as the contents of a safetensors file, and where each lies in it."""
    from safetensors.numpy import save

    content = save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})
    start = HEADER_LENGTH_BYTES + int.from_bytes(content[:HEADER_LENGTH_BYTES], "little")
    return content, parse_layout(content[HEADER_LENGTH_BYTES:start], start, len(content))


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except OSError as error:
        what = f"{folder} is not a model bundle"
        raise BundleError(what, got=f"no {CONFIG} in it", expected="a folder that noiseless wrote") from error
    except ValueError as error:
        raise BundleError(f"{folder / CONFIG} is not JSON", got=str(error)) from error
    if not isinstance(config, dict):
        raise BundleError(f"{folder / CONFIG} does not describe a model", got=type(config).__name__)
    return config


def _from_config(folder: Path, config: dict[str, Any]) -> Bundle:
    known = {item.name for item in fields(Bundle)} - {"path", "extra", "format_version"}
    extra = {key: config.pop(key) for key in list(config) if key not in known}
    try:
        low, high = config.pop("data_range", (0.0, 1.0))
        spec = NetworkSpec(**config.pop("spec"))
        return Bundle(folder, **config, spec=spec, data_range=(float(low), float(high)), extra=extra)
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / CONFIG} does not describe a model", got=str(error)) from error


def _check_file(path: Path, digest: str | None) -> None:
    if not path.is_file():
        what = f"the bundle {path.parent} is incomplete"
        raise BundleError(what, got=f"no {path.name}", fix="Fetch it again.")
    if path.name == WEIGHTS:
        layout(path)
    if digest is not None and _digest(path.read_bytes()) != digest:
        what = f"{path} was changed after it was written"
        raise BundleError(what, got="another hash", fix="Fetch it again.")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _previous(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.previous"


def _replace(beside: Path, folder: Path) -> None:
    """Rename a folder into the place of another; `read` finds the old one if this is cut off half-way."""
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    try:
        beside.rename(folder)
    except OSError:
        with contextlib.suppress(OSError):
            previous.rename(folder)
        raise
    shutil.rmtree(previous, ignore_errors=True)
