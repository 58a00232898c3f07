"""ONNX Runtime: the engine of the core, without torch."""

from __future__ import annotations

from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from noiseless.bundle import Bundle
from noiseless.errors import BundleError, WorkError
from noiseless.runtime import UNKNOWN_BYTES_PER_PIXEL, Array, Precision
from noiseless.runtime.machine import processors

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
OVERHEAD = 1.5
"""Memory measured for each pixel, over that of the graph's activations: convolutions need room of their own."""

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
        self._giving_back = onnxruntime.RunOptions()
        self._giving_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
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
            restored: Array = self._session.run(None, feeds, self._giving_back)[0]
        except FAILURES as error:
            if any(sign in str(error) for sign in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise WorkError("ONNX Runtime failed", got=str(error)) from error
        return restored


def _session(bundle: Bundle, precision: Precision, threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or processors()
    options.enable_mem_pattern = False  # a plan for each size of tile would keep memory for each
    options.log_severity_level = ERROR_LEVEL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = bundle.int8_graph_path if precision == "int8" else bundle.graph_path
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise BundleError(f"ONNX Runtime cannot load {path}", got=str(error)) from error
