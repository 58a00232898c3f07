"""Engines: what runs a bundle's network on arrays.

    engine = open_engine(bundle, precision="exact")
    restored = engine.run(batch, sigma)            # (B, C, H, W) float32 in and out

Importing this package imports no engine.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from noiseless import tables
from noiseless.bundle import CONFIG, Bundle
from noiseless.errors import BundleError, ConfigError, UnknownNameError
from noiseless.runtime.machine import resident_memory

Array = npt.NDArray[np.float32]
Precision = Literal["exact", "fast", "int8"]
PRECISIONS: tuple[Precision, ...] = ("exact", "fast", "int8")

ENGINES: dict[str, str] = {
    "onnxruntime": "noiseless.runtime.onnxruntime:OnnxRuntimeEngine",
    "openvino": "noiseless.runtime.openvino:OpenVinoEngine",
    "torch": "noiseless.runtime.torch:TorchEngine",
}
GROUP = "noiseless.engines"

PREFERRED: dict[str, tuple[str, ...]] = {
    "exact": ("onnxruntime", "openvino", "torch"),
    "fast": ("openvino", "torch"),
    "int8": ("openvino", "onnxruntime"),
}
"""Which engine to take for a precision, the first that has it. In float32 ONNX Runtime is ready 0.06 seconds before
OpenVINO and about as fast; in int8 it is ready 0.03 seconds before, and takes one and a half times as long."""

FALLBACKS: dict[str, tuple[Precision, ...]] = {"exact": (), "fast": ("exact",), "int8": ("fast", "exact")}

UNKNOWN_BYTES_PER_PIXEL = 2000.0
"""Of a network whose bundle does not say; more than most need."""


ROOM_TO_MEASURE = 2 << 30
"""Bytes that must be allowed before engines are measured, which loads all of them."""


class Engine(Protocol):
    """Runs a network.

    Attributes:
        name: key of `ENGINES`.
        precision: what it computes in.
        bytes_per_pixel: memory that a run needs for each pixel of the batch.
        fixed_bytes: memory that a run needs besides.
        note: why the precision is not what was asked for; empty where it is.
    """

    name: str
    precision: Precision
    bytes_per_pixel: float
    fixed_bytes: float
    note: str

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore images.

        Args:
            batch: (B, C, H, W) in [0, 1] units; H and W fit the network.
            sigma: noise standard deviation in the same units, broadcastable to the batch, for a conditioned
                network.

        Raises:
            MemoryError: the memory does not suffice.
        """
        ...

    def release(self) -> None:
        """Give back memory that is kept for a next run of the same size."""
        ...


class EngineClass(Protocol):
    """What a table entry stands for."""

    def __call__(self, bundle: Bundle, *, precision: Precision, device: str, threads: int | None) -> Engine:
        """Load the network of a bundle."""
        ...

    def offers(self, bundle: Bundle, precision: Precision, device: str) -> bool:
        """Whether this machine, with what is installed, can run the bundle so."""
        ...


@dataclass(frozen=True)
class Choice:
    """Which engine and precision was chosen.

    Attributes:
        engine: key of `ENGINES`.
        precision: what it will compute in.
        note: why this is not what was asked for; empty where it is.
    """

    engine: str
    precision: Precision
    note: str = ""


def open_engine(
    bundle: Bundle,
    *,
    engine: str = "auto",
    precision: str = "exact",
    device: str = "auto",
    threads: int | None = None,
) -> Engine:
    """Load a bundle's network into an engine.

    Args:
        bundle: the model.
        engine: a key of `ENGINES`, or ``"auto"``: the first of `PREFERRED`, until enough work lies ahead to load
            a faster one (`noiseless.runtime.fastest`).
        precision: ``exact`` (float32), ``fast`` (bf16 where the processor has it) or ``int8``; the next best where
            the model or the machine does not have it, see `choose`.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: how many to compute with; all processors that this process may use where ``None``.

    Raises:
        UnknownNameError: no such engine or precision.
        MissingExtraError: the engine is not installed.
        BundleError: the engine cannot load the model.
    """
    choice = choose(bundle, engine=engine, precision=precision, device=device)
    opened = _engine_class(choice.engine)(bundle, precision=choice.precision, device=device, threads=threads)
    opened.note = choice.note
    return _automatic(opened, bundle, device, threads) if engine == "auto" else opened


def prepare(engine: Engine, pixels: int, max_memory: int | None = None) -> None:
    """Tell an engine how much work lies ahead: one that was chosen automatically may measure and change.

    Args:
        engine: what will run.
        pixels: how many.
        max_memory: bytes that the process may hold; below what several engines take, the first stays.
    """
    tight = max_memory is not None and max_memory - resident_memory() < ROOM_TO_MEASURE
    if hasattr(engine, "prepare") and not tight:
        engine.prepare(pixels)


def _automatic(first: Engine, bundle: Bundle, device: str, threads: int | None) -> Engine:
    """The engine, able to give way to a faster one where there is another."""
    precision = first.precision
    installed = [name for name in PREFERRED[precision] if importlib.util.find_spec(name) is not None]
    if len(installed) < 2 or not (bundle.path / CONFIG).is_file():
        return first
    from noiseless.runtime.fastest import AutomaticEngine, model_key

    def open_named(name: str) -> Engine | None:
        if not _offers(name, bundle, precision, device, insist=False):
            return None
        try:
            return _engine_class(name)(bundle, precision=precision, device=device, threads=threads)
        except BundleError:  # nobody asked for it by name
            return None

    key = model_key(bundle, precision, device, threads, installed)
    return AutomaticEngine(first, bundle, installed, open_named, key)


def choose(bundle: Bundle, *, engine: str = "auto", precision: str = "exact", device: str = "auto") -> Choice:
    """The engine and precision that `open_engine` takes.

    Raises:
        UnknownNameError: no such engine or precision.
        ConfigError: no engine can run this model on this device.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    candidates: tuple[Precision, ...] = (precision, *FALLBACKS[precision])
    for candidate in candidates:
        names = PREFERRED[candidate] if engine == "auto" else (engine,)
        for name in names:
            if _offers(name, bundle, candidate, device, insist=engine != "auto"):
                note = "" if candidate == precision else _note(bundle, precision, candidate, engine)
                return Choice(name, candidate, note)
    raise ConfigError(
        f"no engine can run {bundle.name}",
        got=f"engine {engine}, device {device}",
        fix=_fix(bundle, engine, device),
    )


def _offers(name: str, bundle: Bundle, precision: Precision, device: str, *, insist: bool) -> bool:
    if name in ENGINES and not insist and importlib.util.find_spec(name) is None:
        return False
    return _engine_class(name).offers(bundle, precision, device)


def _fix(bundle: Bundle, engine: str, device: str) -> str | None:
    if engine not in ("auto", "torch") and device not in ("auto", "cpu"):
        return f"Only torch runs on other devices than the processor: leave engine={engine} or device={device} out."
    if importlib.util.find_spec("torch") is None:
        return 'Install PyTorch: pip install "noiseless[train]"'
    return None if bundle.graph_path.is_file() else "Only torch runs a model without a graph: leave engine out."


def _engine_class(name: str) -> EngineClass:
    found: EngineClass = tables.load("engine", name, ENGINES, GROUP)
    return found


def _note(bundle: Bundle, wanted: str, found: str, engine: str) -> str:
    reasons: dict[str, Callable[[], str]] = {
        "int8": lambda: f"{bundle.name} has no int8 graph" if not bundle.int8_graph_path.is_file() else "",
        "fast": lambda: "",
    }
    who = "no installed engine computes" if engine == "auto" else f"the engine {engine} does not compute"
    reason = reasons[wanted]() or f"{who} so on this processor"
    return f"{wanted} precision is not available ({reason}); using {found}"
