"""OpenVINO: an engine for Intel and AMD processors that also computes in bf16 (the [openvino] extra)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import sys
import threading
from typing import Any

import numpy as np

from noiseless.bundle import WEIGHTS, Bundle
from noiseless.errors import BundleError, MissingExtraError, WorkError
from noiseless.runtime import UNKNOWN_BYTES_PER_PIXEL, Array, Precision
from noiseless.runtime.machine import used_threads
from noiseless.runtime.remembered import changed, recall_made, remember_made

HINTS = {"exact": "f32", "fast": "bf16", "int8": "f32"}
"""Precision to compute in; left to itself OpenVINO takes bf16 where the processor has it, and does not say so. In an
int8 graph it is that of what is not rounded, which is bf16 where the bundle says that this loses little enough."""

ROUNDING, SCALING, GIVING = "FakeQuantize", ("Convert", "Subtract", "Multiply"), ("Convolution", "Relu")
"""Operations that round a tensor, that give its values back, and whose results are rounded."""

KEPT, MOST_KEPT = "openvino", 16
"""Folder of the user's cache for compiled int8 graphs, and how many there are at most, of 1.5 to 15 MB each. To compile
`color-nano` takes 0.15 seconds of processor time and `color-small` 0.25, to load what was kept 0.025 and 0.035."""

CONVERTER = "openvino.tools.ovc"

OVERHEAD, FIXED_BYTES = 3.0, 48e6
"""Memory for each pixel, over that of the activations, and besides: after windows of two sizes at most 3 and 21 MB was
measured (exact, fast and int8, 64 to 1024 pixels wide); with 32 MB the whole command went 16 MB over its limit."""


class OpenVinoEngine:
    """A bundle's graph, compiled by OpenVINO for the processor; see `noiseless.runtime.Engine`."""

    name = "openvino"
    note = ""

    def __init__(
        self, bundle: Bundle, *, precision: Precision = "exact", device: str = "cpu", threads: int | None = None
    ) -> None:
        self.precision = precision
        self.bytes_per_pixel = OVERHEAD * (bundle.bytes_per_pixel or UNKNOWN_BYTES_PER_PIXEL)
        self.fixed_bytes = FIXED_BYTES
        self._model = _compile(bundle, precision, threads)
        self._request = self._model.create_infer_request()
        self._lock = threading.Lock()  # of the request, whose output one thread must not take from another
        self._tensor = import_openvino("the openvino engine").Tensor
        self._told = bundle.spec.conditioning == "sigma"

    @staticmethod
    def offers(bundle: Bundle, precision: Precision, device: str) -> bool:
        """Float32, bf16 where the processor has it, and int8 where the bundle has such a graph."""
        graph = bundle.int8_graph_path if precision == "int8" else bundle.graph_path
        if device not in ("auto", "cpu") or not graph.is_file():
            return False
        return precision != "fast" or _has_bf16()

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        feeds = [batch, sigma] if self._told else [batch]
        restored: Array = np.empty(batch.shape, np.float32)
        try:
            with self._lock:
                self._request.set_output_tensor(self._tensor(restored, shared_memory=True))
                self._request.infer(feeds, share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            if "alloc" in str(error):
                raise MemoryError(str(error)) from error
            raise WorkError("OpenVINO failed", got=str(error)) from error
        return restored

    def release(self) -> None:
        """Give back memory, where this version of OpenVINO can."""
        if hasattr(self._model, "release_memory"):
            self._model.release_memory()


def _compile(bundle: Bundle, precision: Precision, threads: int | None) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": _hint(bundle, precision),
        "INFERENCE_NUM_THREADS": used_threads(threads),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    path = bundle.int8_graph_path if precision == "int8" else bundle.graph_path
    try:
        if precision == "int8":
            return _compile_int8(bundle, settings)
        return _core().compile_model(str(path), "CPU", settings)
    except RuntimeError as error:
        raise BundleError(f"OpenVINO cannot load {path}", got=str(error)) from error


def _compile_int8(bundle: Bundle, settings: dict[str, Any]) -> Any:
    """From the user's cache where it was compiled before, with the same result."""
    key = _key(bundle, settings)
    kept = recall_made(KEPT, key)
    if kept is not None:
        with contextlib.suppress(RuntimeError):  # a broken file: it is made anew
            return _core().import_model(kept, "CPU", settings)
    model = _core().read_model(str(bundle.int8_graph_path))
    leave_results(model)
    compiled = _core().compile_model(model, "CPU", settings)
    remember_made(KEPT, key, compiled.export_model().getvalue(), most=MOST_KEPT)
    return compiled


def _key(bundle: Bundle, settings: dict[str, Any]) -> str:
    """What a compiled int8 graph depends on: its files, the settings, the processor, OpenVINO and this module."""
    machine = [_core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    versions = [changed(sys.modules["openvino"].__file__), changed(__file__)]
    digest = hashlib.sha256(repr([settings, machine, versions]).encode())
    for path in (bundle.int8_graph_path, bundle.path / WEIGHTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def leave_results(model: Any) -> None:
    """Take the rounding off what convolutions give and none in int8 reads.

    It is there for ONNX Runtime, which computes a convolution in int8 only where its result is rounded. OpenVINO does
    so anyway, and adds in the convolution itself what is not rounded: that is faster, and nothing is lost.
    """
    for node in model.get_ops():
        if node.get_type_name() != ROUNDING or node.input_value(0).get_node().get_type_name() not in GIVING:
            continue
        rounded, users = node, _users(node)
        while len(users) == 1 and users[0].get_type_name() in SCALING:
            rounded, users = users[0], _users(users[0])
        if users and not any(_is_int8(user) for user in users):
            rounded.output(0).replace(node.input_value(0))


def _is_int8(node: Any) -> bool:
    """Whether this is a convolution with a rounded kernel."""
    if node.get_type_name() != "Convolution":
        return False
    kernel = node.input_value(1).get_node()
    while kernel.get_type_name() in SCALING:
        kernel = kernel.input_value(0).get_node()
    return bool(kernel.get_type_name() == ROUNDING or kernel.get_element_type().get_type_name() == "i8")


def _users(node: Any) -> list[Any]:
    return [target.get_node() for target in node.output(0).get_target_inputs()]


def _hint(bundle: Bundle, precision: Precision) -> str:
    if precision == "int8" and bundle.extra.get("int8", {}).get("bf16") and _has_bf16():
        return "bf16"
    return HINTS[precision]


def _has_bf16() -> bool:
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@functools.cache
def _core() -> Any:
    return import_openvino("the openvino engine").Core()


def import_openvino(user: str) -> Any:
    """OpenVINO without its converter of other models, which nothing here needs.

    By itself OpenVINO imports that too: two thirds of the 0.09 seconds that the import takes, and it tells Google
    Analytics that it was imported. ``openvino.convert_model`` imports it when it is called.

    Args:
        user: what needs OpenVINO, for the error.

    Raises:
        MissingExtraError: it is not installed.
    """
    modules: dict[str, Any] = sys.modules
    hidden = "openvino" not in modules
    if hidden:
        modules[CONVERTER] = None  # an import that fails, which OpenVINO allows for
    try:
        openvino: Any = importlib.import_module("openvino")
    except ModuleNotFoundError as error:
        raise MissingExtraError(user, "openvino") from error
    finally:
        if hidden:
            del modules[CONVERTER]
    if not hasattr(openvino, "convert_model"):
        openvino.convert_model = _convert_model
    return openvino


def _convert_model(*given: Any, **options: Any) -> Any:
    return importlib.import_module(CONVERTER).convert_model(*given, **options)
