"""ONNX Runtime: the engine of the core, without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from noiseless.bundle import Bundle, NetworkSpec
from noiseless.errors import BundleError, WorkError
from noiseless.runtime import UNKNOWN_BYTES_PER_PIXEL, Array, Precision
from noiseless.runtime.machine import used_threads
from noiseless.tiling import round_up

FAILURES = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)
OUT_OF_MEMORY = ("bad_alloc", "Failed to allocate", "bad allocation")
OVERHEAD = 2.0
"""Memory for each pixel, over that of the activations: 1.3 to 1.8 was measured, and 2.8 for a network of 8 features."""

FIXED_BYTES = 48e6
ERROR_LEVEL = 3


class OnnxRuntimeEngine:
    """A bundle's graph in an ONNX Runtime session on the processor; see `noiseless.runtime.Engine`."""

    name = "onnxruntime"
    note = ""

    def __init__(
        self, bundle: Bundle, *, precision: Precision = "exact", device: str = "cpu", threads: int | None = None
    ) -> None:
        self.precision = precision
        self.bytes_per_pixel = OVERHEAD * (bundle.bytes_per_pixel or UNKNOWN_BYTES_PER_PIXEL)
        self.fixed_bytes = FIXED_BYTES
        self._session = _session(bundle, precision, threads)
        self._smallest = _smallest_inputs(bundle.spec)
        self._inputs = [item.name for item in self._session.get_inputs()]

    @staticmethod
    def offers(bundle: Bundle, precision: Precision, device: str) -> bool:
        """Float32 and, where the bundle has such a graph, int8; on the processor."""
        graph = {"exact": bundle.graph_path, "int8": bundle.int8_graph_path}.get(precision)
        return device in ("auto", "cpu") and graph is not None and graph.is_file()

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        feeds = dict(zip(self._inputs, (batch, sigma), strict=False))
        try:
            restored: Array = self._session.run(None, feeds)[0]
        except FAILURES as error:
            if any(sign in str(error) for sign in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise WorkError("ONNX Runtime failed", got=str(error)) from error
        return restored

    def release(self) -> None:
        """Give back memory: the session does so at the end of a run that asks for it, so one of few pixels is made."""
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run(None, dict(zip(self._inputs, self._smallest, strict=False)), options)


def _smallest_inputs(spec: NetworkSpec) -> tuple[Array, Array]:
    side = round_up(spec.minimum_size, spec.multiple_of)
    return np.zeros((1, spec.channels, side, side), np.float32), np.zeros((1, 1, 1, 1), np.float32)


def _session(bundle: Bundle, precision: Precision, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = used_threads(threads)
    options.enable_mem_pattern = False  # a plan takes more memory than it saves time
    options.log_severity_level = ERROR_LEVEL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = bundle.int8_graph_path if precision == "int8" else bundle.graph_path
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise BundleError(f"ONNX Runtime cannot load {path}", got=str(error)) from error
