"""An ONNX model in one file that takes images of any size: the weights and the padding are inside.

Padding is what `noiseless.inference` does: reflection below and to the right, as often as it takes, so that an image of
a single pixel works too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from noiseless.bundle import Bundle, NetworkSpec
from noiseless.exporting.graph import IMAGE, RESTORED, SIGMA
from noiseless.exporting.session import open_session

PRODUCER = "noiseless"


def standalone(bundle: Bundle, graph: Path) -> onnx.ModelProto:
    """One of a bundle's graphs with its weights and padding inside.

    Args:
        bundle: the model.
        graph: file of the float32 or int8 graph, beside the weights.
    """
    model = onnx.load(graph)
    if bundle.spec.multiple_of > 1 or bundle.spec.minimum_size > 1:
        _pad(model, bundle.spec)
    model.producer_name = PRODUCER
    helper.set_model_props(model, _description(bundle))
    return model


def folded(model: onnx.ModelProto, path: Path) -> None:
    """Write a model with what follows from constants computed: int8 weights are then stored as int8."""
    from onnxruntime import GraphOptimizationLevel

    basic = GraphOptimizationLevel.ORT_ENABLE_BASIC
    open_session(model.SerializeToString(), graph_optimization_level=basic, optimized_model_filepath=str(path))


def _description(bundle: Bundle) -> dict[str, str]:
    told = "standard deviation of the noise in the image's units; anything that broadcasts to the image"
    return {
        "model": bundle.name,
        "network": bundle.network,
        IMAGE: "(batch, channels, height, width), float32, 0 is black and 1 is white",
        RESTORED: "the same shape, not clipped",
        "halo": str(bundle.spec.halo),
        **({SIGMA: told} if bundle.spec.conditioning == "sigma" else {}),
    }


def _pad(model: onnx.ModelProto, spec: NetworkSpec) -> None:
    """Let the graph take any height and width."""
    graph = model.graph
    padded = {IMAGE: f"{IMAGE}.padded", SIGMA: f"{SIGMA}.padded", RESTORED: f"{RESTORED}.padded"}
    for node in graph.node:
        node.input[:] = [padded.get(name, name) for name in node.input]
        node.output[:] = [padded.get(name, name) for name in node.output]
    before = _Nodes()
    places = [before.reflected(axis, spec) for axis in (2, 3)]
    before.pad(IMAGE, places)
    if spec.conditioning == "sigma":
        whole = before.add("Shape", IMAGE)
        before.pad(before.add("Expand", SIGMA, whole), places, result=padded[SIGMA])
    after = _Nodes("end")
    sizes = after.add("Slice", after.add("Shape", IMAGE), after.integers(2), after.integers(4))
    starts, axes = after.integers(0, 0), after.integers(2, 3)
    after.nodes.append(helper.make_node("Slice", [padded[RESTORED], starts, sizes, axes], [RESTORED]))
    nodes = [*before.nodes, *graph.node, *after.nodes]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*before.constants, *after.constants])


class _Nodes:
    """Nodes and constants under names of their own."""

    def __init__(self, prefix: str = "pad") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of its result."""
        result = f"{self._prefix}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [result], **attributes))
        return result

    def integers(self, *values: int) -> str:
        """A list of integers."""
        name = f"{self._prefix}.constant.{len(self.constants)}"
        self.constants.append(helper.make_tensor(name, TensorProto.INT64, [len(values)], values))
        return name

    def integer(self, value: int) -> str:
        """One integer."""
        name = f"{self._prefix}.constant.{len(self.constants)}"
        self.constants.append(helper.make_tensor(name, TensorProto.INT64, [], [value]))
        return name

    def reflected(self, axis: int, spec: NetworkSpec) -> str:
        """For each row or column of the padded image the one that it shows."""
        zero, one, multiple = self.integer(0), self.integer(1), self.integer(spec.multiple_of)
        shape = self.add("Shape", IMAGE, start=axis, end=axis + 1)
        size = self.add("Squeeze", shape)
        least = self.add("Max", size, self.integer(spec.minimum_size))
        parts = self.add("Div", self.add("Sub", self.add("Add", least, multiple), one), multiple)
        period = self.add("Mul", self.add("Sub", size, one), self.integer(2))
        numbers = self.add("Range", zero, self.add("Mul", parts, multiple), one)
        rest = self.add("Mod", numbers, self.add("Max", period, one))
        return self.add("Min", rest, self.add("Abs", self.add("Sub", period, rest)))

    def pad(self, name: str, places: list[str], *, result: str = "") -> None:
        """A tensor (B, C, H, W) with these rows and columns."""
        rows = self.add("Gather", name, places[0], axis=2)
        self.nodes.append(helper.make_node("Gather", [rows, places[1]], [result or f"{name}.padded"], axis=3))
