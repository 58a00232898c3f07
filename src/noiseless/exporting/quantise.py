"""An ONNX graph in int8: QuantizeLinear / DequantizeLinear pairs around its convolutions and their weights.

Weights are symmetric with a scale for each output channel, activations are unsigned 8 bit with one scale. After ReLU
the zero point is 0, so that ONNX Runtime fuses convolution, ReLU and rounding into one QLinearConv. Skips and sums stay
float32: only the input of a convolution and what it adds are rounded. Weights are read from where the float graph reads
them and rounded when a session is made, so that both graphs share one file.

Between two convolutions with ReLU between, channels are scaled to one range: the first's outputs are divided, the
second's inputs multiplied (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
2019), here by the largest values seen in calibration. It halves the error of a U-Net.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[np.float32]

STEPS, LARGEST_WEIGHT = 255, 127
NOTHING = 1e-30
"""Values within so small a range are 0: a step of theirs would be too small for float32."""

LEAST_SHARE = 0.25
"""A channel is taken to reach at least this share of the largest one: a rarely used one may exceed what was seen."""

SHARES = np.linspace(0.2, 1, 17)
"""Of the range seen, the shares that are tried: cutting rare values off makes all others finer."""


@dataclass(frozen=True)
class Layer:
    """A convolution that can be computed in int8; names of tensors in the graph.

    Attributes:
        weight: its kernel, (out, in / groups, height, width).
        bias: ``""`` where there is none.
        input: what it reads.
        result: what it computes.
        output: what follows from the result: that of the ReLU behind it, or the result itself.
        groups: of the convolution.
    """

    weight: str
    bias: str
    input: str
    result: str
    output: str
    groups: int


@dataclass(frozen=True)
class Seen:
    """What calibration saw of a tensor.

    Attributes:
        largest: the largest value of each channel, (C,).
        values: some values, (examples, C, places).
        weights: how much an error in each example matters, (examples,).
    """

    largest: Array
    values: Array
    weights: Array

    def scale(self, divisors: Array | None = None) -> tuple[np.float32, np.uint8]:
        """Scale and zero point of unsigned 8 bit values with the least weighted mean square error.

        Args:
            divisors: what each channel is divided by before, (C,).
        """
        values = self.values if divisors is None else self.values / divisors[:, np.newaxis]
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        if high - low < NOTHING:
            return np.float32(1), np.uint8(0)
        tried = [activation_scale(share * low, share * high) for share in SHARES]
        return min(tried, key=lambda pair: self._error(values, *pair))

    def _error(self, values: Array, scale: np.float32, zero: np.uint8) -> float:
        shift = np.float32(zero)
        rounded = values / scale
        np.rint(rounded, out=rounded)
        np.clip(rounded, -shift, STEPS - shift, out=rounded)
        rounded *= scale
        rounded -= values
        return float(self.weights @ np.einsum("ecp,ecp->e", rounded, rounded))


def find_layers(model: onnx.ModelProto, weights: Collection[str]) -> list[Layer]:
    """The convolutions of a graph but the first and the last, which touch the image and stay float32.

    Args:
        model: with or without its weights.
        weights: names of the tensors that are learnt.
    """
    nodes = model.graph.node
    before, after = _reached(nodes, backwards=False), _reached(reversed(nodes), backwards=True)
    users = _users(model)
    layers = []
    for node in nodes:
        result = node.output[0]
        if node.op_type != "Conv" or node.input[1] not in weights or result not in before or result not in after:
            continue
        following = users.get(result, [])
        relu = len(following) == 1 and following[0].op_type == "Relu"
        bias = node.input[2] if len(node.input) > 2 else ""
        groups = next((int(item.i) for item in node.attribute if item.name == "group"), 1)
        output = following[0].output[0] if relu else result
        layers.append(Layer(node.input[1], bias, node.input[0], result, output, groups))
    return layers


def quantise(
    model: onnx.ModelProto,
    layers: Sequence[Layer],
    seen: Mapping[str, Seen],
    weights: Mapping[str, Array],
    kept_float: Collection[Layer] = (),
) -> onnx.ModelProto:
    """The graph with its convolutions in int8.

    Args:
        model: left as it is.
        layers: what `find_layers` found.
        seen: each input and output of these layers, in calibration.
        weights: the learnt tensors by name, float32.
        kept_float: those of the layers that stay float32.
    """
    scales = _equalising_scales(model, layers, seen)
    writer = _Writer(layers, kept_float, seen, weights, scales)
    for node in model.graph.node:
        writer.add(node)
    rewritten = copy.deepcopy(model)
    del rewritten.graph.node[:]
    rewritten.graph.node.extend(writer.nodes)
    rewritten.graph.initializer.extend(writer.constants.values())
    return rewritten


def activation_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of unsigned 8 bit values that reach from `low` (0 or less) to `high`."""
    scale = np.float32((high - low) / STEPS)
    return scale, np.uint8(round(-low / float(scale)))


class _Writer:
    """The nodes and constants of the graph that is made."""

    def __init__(
        self,
        layers: Sequence[Layer],
        kept_float: Collection[Layer],
        seen: Mapping[str, Seen],
        weights: Mapping[str, Array],
        scales: Mapping[str, Array],
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._weights, self._scales, self._kept_float = weights, scales, kept_float
        self._layers = {layer.result: layer for layer in layers}
        chosen = [layer for layer in layers if layer not in kept_float]
        self._outputs = {layer.output for layer in chosen}
        self._inputs = {layer.input for layer in chosen}
        self._rounded: dict[str, str] = {}
        self._activations = {name: seen[name].scale(scales.get(name)) for name in self._inputs | self._outputs}

    def add(self, node: onnx.NodeProto) -> None:
        """A node of the float graph, with what surrounds it in int8."""
        layer = self._layers.get(node.output[0])
        copied = copy.deepcopy(node)
        copied.input[:] = [self._rounded.get(name, name) if name in self._outputs else name for name in node.input]
        if layer is not None and layer in self._kept_float:
            copied.input[1] = self._kernel(layer)[0]
            if layer.bias:
                copied.input[2] = self._divided(layer.bias, layer.output, 1)
        elif layer is not None:
            copied.input[0] = self._rounded[layer.input]
            copied.input[1] = self._weight(layer)
            if layer.bias:
                copied.input[2] = self._bias(layer)
        self.nodes.append(copied)
        for name in node.output:
            if name in self._outputs or name in self._inputs:
                self._round_activation(name)

    def _round_activation(self, name: str) -> None:
        scale, zero = self._activations[name]
        self._rounded[name] = self._pair(name, self._constant(f"{name}.scale", scale), self._constant("", zero))

    def _weight(self, layer: Layer) -> str:
        name, values = self._kernel(layer)
        scale = self._constant(f"{layer.weight}.scale", self._weight_scale(values))
        return self._pair(name, scale, self._constant("", np.zeros(len(values), np.int8)), axis=0)

    def _kernel(self, layer: Layer) -> tuple[str, Array]:
        """A kernel that takes its input and gives its output as they are scaled, and its values."""
        values = self._weights[layer.weight]
        name = self._divided(layer.weight, layer.output, values.ndim)
        values = values / self._factors(layer.output, values.ndim)
        if layer.input in self._scales:
            factors = self._factors(layer.input, values.ndim - 1)
            name = self._scaled("Mul", name, layer.input, factors)
            values = values * factors
        return name, values

    def _divided(self, name: str, output: str, axes: int) -> str:
        """A kernel or bias that gives the output as it is scaled."""
        return self._scaled("Div", name, output, self._factors(output, axes)) if output in self._scales else name

    def _factors(self, tensor: str, axes: int) -> Array:
        """By what the channels of a tensor are divided, for an array whose first of some axes is these channels."""
        return self._scales.get(tensor, np.ones(1, np.float32)).reshape(-1, *(1,) * (axes - 1))

    def _scaled(self, operation: str, name: str, tensor: str, factors: Array) -> str:
        constant = self._constant(f"{tensor}.{factors.ndim}", factors)
        result = f"{name}.{operation}"
        self.nodes.append(helper.make_node(operation, [name, constant], [result]))
        return result

    def _bias(self, layer: Layer) -> str:
        """The bias, rounded to 32 bit in the unit of the products, as QLinearConv wants it."""
        weight = self.constants[f"{layer.weight}.scale"]
        scale = self._activations[layer.input][0] * numpy_helper.to_array(weight)
        bias = self._weights[layer.bias] / self._factors(layer.output, 1)
        limit = np.iinfo(np.int32)
        rounded = np.rint(bias / scale.astype(np.float64)).clip(limit.min, limit.max).astype(np.int32)
        name = f"{layer.bias}.int32"
        inputs = [self._constant(name, rounded), self._constant(f"{name}.scale", scale)]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{name}.float"], axis=0))
        return f"{name}.float"

    @staticmethod
    def _weight_scale(values: Array) -> Array:
        largest = np.abs(values).max(axis=(1, 2, 3))
        return (np.where(largest > 0, largest, 1) / LARGEST_WEIGHT).astype(np.float32)

    def _pair(self, name: str, scale: str, zero: str, **attributes: Any) -> str:
        """QuantizeLinear and DequantizeLinear; returns the name of what comes out."""
        rounded, result = f"{name}.8", f"{name}.9"
        self.nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [rounded], **attributes))
        self.nodes.append(helper.make_node("DequantizeLinear", [rounded, scale, zero], [result], **attributes))
        return result

    def _constant(self, name: str, value: npt.ArrayLike) -> str:
        """A constant of the graph; one without a name is shared by all that have its value."""
        array = np.asarray(value)
        name = name or f"zero.{array.dtype}.{array.shape}.{array.max()}"
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name


def _equalising_scales(model: onnx.ModelProto, layers: Sequence[Layer], seen: Mapping[str, Seen]) -> dict[str, Array]:
    """By what the channels between two convolutions are divided."""
    users = _users(model)
    readers = {layer.input: layer for layer in layers}
    scales = {}
    for layer in layers:
        reader = readers.get(layer.output)
        if reader is None or layer.output == layer.result or len(users[layer.output]) != 1 or reader.groups != 1:
            continue
        largest = seen[layer.output].largest
        if largest.max() > 0:
            scales[layer.output] = np.maximum(largest / largest.max(), LEAST_SHARE).astype(np.float32)
    return scales


def _users(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _reached(nodes: Iterable[onnx.NodeProto], *, backwards: bool) -> set[str]:
    """Results that a convolution lies before (or, backwards, behind), itself not counted."""
    reached: set[str] = set()
    found = set()
    for node in nodes:
        sources, targets = (node.output, node.input) if backwards else (node.input, node.output)
        if any(name in reached for name in sources):
            found.add(node.output[0])
            reached.update(targets)
        if node.op_type in ("Conv", "ConvTranspose"):
            reached.update(targets)
    return found
