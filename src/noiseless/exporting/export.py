"""`export`: a model becomes files for other software."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noiseless import bundle as bundles
from noiseless.bundle import Bundle
from noiseless.denoiser import find
from noiseless.errors import UnknownNameError, WorkError
from noiseless.exporting import save_bundle
from noiseless.exporting.graph import TOLERANCE
from noiseless.exporting.session import open_session
from noiseless.exporting.standalone import folded, standalone
from noiseless.inference import restore
from noiseless.io.atomic import check_reachable, make_folder, replacing
from noiseless.noise import Gaussian
from noiseless.runtime.torch import TorchEngine, load_foreign, load_network

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[np.float32]
Run = Callable[[Array, "Array | None"], Array]

SIZES = ((1, 37, 53), (2, 9, 64), (1, 1, 1))
"""Batch, height and width that a file is checked at."""

INT8_TOLERANCE = 1 / 255
"""Root mean square difference that int8 may have to torch on a noisy picture; its dB are measured before."""

DOUBT = 3.0
"""Standard errors by which the root mean square of few values may be larger than that of many."""

FOREIGN_NOISE = Gaussian(sigma=(5 / 255, 50 / 255))
"""What int8 is calibrated and measured on for checkpoints of other projects, which do not say what they are for."""


def export(model: str | Path, folder: str | Path, *, format: str = "onnx", int8: bool = False) -> list[Path]:
    """Write a model as files that other software runs: of any image size, sigma an input, nothing else needed.

    The files compute what torch computes, at sizes that do not suit the network too; one that does not is not written.

    Args:
        model: as `noiseless.load` takes it.
        folder: where to; made where it is not there.
        format: ``"onnx"`` (one file) or ``"openvino"`` (two files, needs the extra).
        int8: in 8 bit. The bundle's int8 graph, or one that is made now.

    Returns:
        The files.

    Raises:
        UnknownNameError: no such model or format.
        BundleError: the model cannot be used.
        MissingExtraError: an optional package is needed.
        WorkError: the files would not compute what torch computes, or int8 costs too much; nothing is written.
        OutputError: the folder cannot be written.
    """
    if format not in FORMATS:
        raise UnknownNameError("format", format, FORMATS)
    check_reachable(Path(folder))
    write, open_file = FORMATS[format]
    with ExitStack() as stack:
        beside = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bundle, network = _bundle(find(model), beside)
        graph = _int8_graph(bundle, beside) if int8 else bundle
        name = f"{bundle.name}.int8" if int8 else bundle.name
        made = write(graph, graph.int8_graph_path if int8 else graph.graph_path, beside / "made", name)
        _check(open_file(made[0]), bundle, network, int8=int8)
        return _place(made, Path(folder))


def _bundle(path: Path, beside: Path) -> tuple[Bundle, nn.Module]:
    """The bundle of a model, made from a checkpoint of another project where it is none."""
    if not path.is_file():
        bundle = bundles.read(path)
        return bundle, load_network(bundle)
    found, network = load_foreign(path)
    made = save_bundle(
        network,
        beside / "model",
        name=found.name,
        network_name=found.network,
        arguments=found.arguments,
        noise=FOREIGN_NOISE.to_dict(),
        card="",
        train={},
        dtype="float32",
    )
    return made, network


def _int8_graph(bundle: Bundle, beside: Path) -> Bundle:
    """A bundle with an int8 graph: itself, or a copy that is given one.

    Raises:
        WorkError: int8 costs more than it may.
    """
    if bundle.int8_graph_path.is_file():
        return bundle
    from noiseless.exporting.int8 import describe, make_int8, store

    made = make_int8(bundle)
    if not made.good:
        raise WorkError(f"{bundle.name} loses too much in int8", got=describe(made), fix="Leave out --int8.")
    return store(replace(bundle, path=beside / "int8"), made, source=bundle.path)


def _write_onnx(bundle: Bundle, graph: Path, folder: Path, name: str) -> list[Path]:
    import onnx

    folder.mkdir()
    path = folder / f"{name}.onnx"
    model = standalone(bundle, graph)
    if graph == bundle.int8_graph_path:
        folded(model, path)
    else:
        onnx.save(model, path)
    return [path]


def _write_openvino(bundle: Bundle, graph: Path, folder: Path, name: str) -> list[Path]:
    openvino = _openvino()
    [source] = _write_onnx(bundle, graph, folder, name)
    path = folder / f"{name}.xml"
    halved = any(weights.dtype == np.float16 for weights in bundle.tensors().values())
    openvino.save_model(openvino.Core().read_model(source), path, compress_to_fp16=halved)
    return [path, path.with_suffix(".bin")]


def _open_onnx(path: Path) -> Run:
    session = open_session(path)
    names = [item.name for item in session.get_inputs()]

    def run(image: Array, sigma: Array | None) -> Array:
        restored: Array = session.run(None, dict(zip(names, (image, sigma), strict=False)))[0]
        return restored

    return run


def _open_openvino(path: Path) -> Run:
    compiled = _openvino().Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(image: Array, sigma: Array | None) -> Array:
        restored: Array = compiled([image] if sigma is None else [image, sigma])[0]
        return restored

    return run


def _openvino() -> Any:
    from noiseless.runtime.openvino import import_openvino

    return import_openvino("the openvino format")


FORMATS = {"onnx": (_write_onnx, _open_onnx), "openvino": (_write_openvino, _open_openvino)}
"""How files are written and how they are run for the check."""


def _check(run: Run, bundle: Bundle, network: nn.Module, *, int8: bool) -> None:
    """Compare a file with torch.

    Raises:
        WorkError: they differ.
    """
    engine = TorchEngine.of(network, bytes_per_pixel=bundle.bytes_per_pixel, device="cpu")
    generator = np.random.default_rng(0)
    for batch, height, width in SIZES:
        image = _picture(batch, bundle.spec.channels, height, width, generator)
        for sigma in _levels(bundle, image.shape, generator):
            expected = restore(engine, image, sigma, bundle.spec)
            difference = run(image, sigma) - expected
            error = float(np.sqrt(np.square(difference).mean()) if int8 else np.abs(difference).max())
            error /= max(1.0, float(np.abs(expected).max()))
            allowed = INT8_TOLERANCE * (1 + DOUBT / np.sqrt(2 * image.size)) if int8 else TOLERANCE
            if not error <= allowed:
                what = f"the file of {bundle.name} would not compute what torch computes"
                raise WorkError(what, got=f"a difference of {error:.2g} at {width}x{height}", expected=f"{allowed:.2g}")


def _picture(batch: int, channels: int, height: int, width: int, generator: np.random.Generator) -> Array:
    rows, columns = np.mgrid[:height, :width]
    smooth = 0.5 + 0.3 * np.sin(rows / 7) * np.cos(columns / 9)
    noise = 0.08 * generator.standard_normal((batch, channels, height, width))
    picture: Array = (smooth + noise).astype(np.float32)
    return picture


def _levels(bundle: Bundle, shape: tuple[int, ...], generator: np.random.Generator) -> list[Array | None]:
    """A single number and a map, or nothing for a blind network."""
    if bundle.spec.conditioning == "none":
        return [None]
    return [np.full((1, 1, 1, 1), 0.08, np.float32), generator.uniform(0.04, 0.12, shape).astype(np.float32)]


def _place(made: list[Path], folder: Path) -> list[Path]:
    """Move files into a folder; the first, which names the others, comes last."""
    make_folder(folder)
    for path in reversed(made):
        with replacing(folder / path.name) as file:
            file.write(path.read_bytes())
    return [folder / path.name for path in made]
