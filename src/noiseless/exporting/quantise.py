"""An ONNX graph in int8: QuantizeLinear / DequantizeLinear pairs around its convolutions and their weights.

Weights are symmetric with a scale for each output channel, activations are unsigned 8 bit with one scale. After ReLU
the zero point is 0, so that ONNX Runtime fuses convolution, ReLU and rounding into one QLinearConv. Skips and sums stay
float32: only the input of a convolution and what it adds are rounded. What it adds may be left as it is, as OpenVINO
does everywhere (`noiseless.runtime.openvino.leave_results`): that still computes in int8 and gives float32, while ONNX
Runtime, which has no such operation, computes in float32. Weights are read from where the float graph reads them and
rounded when a session is made, so that both graphs share one file; but for the few kernels whose rounding costs most,
which are stored as `noiseless.exporting.rounding` rounds them.

Between convolutions channels are scaled to one range: what the ones give is divided, what the others read multiplied
(Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019), here by the largest
values seen in calibration. Tensors that are added, and those before and behind a ReLU, are scaled alike: so are all
that skips and sums join.
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

from noiseless.exporting.rounding import LARGEST, round_kernel

Array = npt.NDArray[np.float32]

STEPS = 255
NOTHING = 1e-30
"""Values within so small a range are 0: a step of theirs would be too small for float32."""

CONVOLUTIONS = ("Conv", "ConvTranspose")
HOMOGENEOUS = ("Add", "Relu")
"""Operations for which it is the same whether channels are scaled before or behind them."""

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
        dense: whether it reads neighbouring pixels of all channels: neither grouped nor dilated.
    """

    weight: str
    bias: str
    input: str
    result: str
    output: str
    dense: bool


@dataclass(frozen=True)
class Seen:
    """What calibration saw of a tensor.

    Attributes:
        largest: the largest magnitude in each channel, (C,).
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
    users = users_of(model.graph.node)
    layers = []
    for node in nodes:
        result = node.output[0]
        if node.op_type != "Conv" or node.input[1] not in weights or result not in before or result not in after:
            continue
        following = users.get(result, [])
        relu = len(following) == 1 and following[0].op_type == "Relu"
        bias = node.input[2] if len(node.input) > 2 else ""
        output = following[0].output[0] if relu else result
        dense = _groups(node) == 1 and max(_dilations(node)) == 1
        layers.append(Layer(node.input[1], bias, node.input[0], result, output, dense))
    return layers


def quantise(
    model: onnx.ModelProto,
    layers: Sequence[Layer],
    seen: Mapping[str, Seen],
    weights: Mapping[str, Array],
    kept_float: Collection[Layer] = (),
    float_results: Collection[Layer] = (),
    products: Mapping[str, Array] | None = None,
) -> onnx.ModelProto:
    """The graph with its convolutions in int8.

    Args:
        model: left as it is.
        layers: what `find_layers` found.
        seen: each input and output of these layers, in calibration.
        weights: the learnt tensors by name, float32.
        kept_float: those of the layers that stay float32.
        float_results: those whose results are not rounded, unless another of the layers reads them.
        products: for some kernels, by name, `rounding.products` of what they read. They are rounded for the least
            change of what is computed and stored in the graph; the others to the nearest, when a session is made.
    """
    scales = _equalising_scales(model, layers, seen, weights)
    chosen = [layer for layer in layers if layer not in kept_float]
    read = {layer.input for layer in chosen}
    rounded = {layer.output for layer in chosen if layer not in float_results or layer.output in read}
    writer = _Writer(chosen, rounded, seen, weights, scales, products or {})
    for node in model.graph.node:
        writer.add(node)
    rewritten = copy.deepcopy(model)
    del rewritten.graph.node[:]
    rewritten.graph.node.extend(writer.nodes)
    rewritten.graph.initializer.extend(writer.constants.values())
    drop_unused(rewritten)
    return rewritten


def drop_unused(model: onnx.ModelProto) -> None:
    """Take out nodes and weights that nothing needs."""
    used = {value.name for value in model.graph.output}
    nodes = []
    for node in reversed(model.graph.node):
        if used.intersection(node.output):
            nodes.append(node)
            used.update(node.input)
    weights = [weight for weight in model.graph.initializer if weight.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(nodes))
    model.graph.initializer.extend(weights)


def activation_scale(low: float, high: float) -> tuple[np.float32, np.uint8]:
    """Scale and zero point of unsigned 8 bit values that reach from `low` (0 or less) to `high`."""
    scale = np.float32((high - low) / STEPS)
    return scale, np.uint8(round(-low / float(scale)))


class _Writer:
    """The nodes and constants of the graph that is made."""

    def __init__(
        self,
        chosen: Sequence[Layer],
        outputs: set[str],
        seen: Mapping[str, Seen],
        weights: Mapping[str, Array],
        scales: Mapping[str, Array],
        products: Mapping[str, Array],
    ) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._weights, self._scales, self._outputs, self._products = weights, scales, outputs, products
        self._layers = {layer.result: layer for layer in chosen}
        self._inputs = {layer.input for layer in chosen}
        self._rounded: dict[str, str] = {}
        self._activations = {name: seen[name].scale(scales.get(name)) for name in self._inputs | outputs}

    def add(self, node: onnx.NodeProto) -> None:
        """A node of the float graph, with what surrounds it in int8."""
        layer = self._layers.get(node.output[0])
        copied = copy.deepcopy(node)
        copied.input[:] = [self._rounded.get(name, name) if name in self._outputs else name for name in node.input]
        if layer is not None:
            copied.input[0] = self._rounded[layer.input]
            copied.input[1] = self._weight(node, fused=layer.output in self._outputs)
            if layer.bias:
                copied.input[2] = self._bias(layer)
        elif node.op_type in CONVOLUTIONS and node.input[1] in self._weights:
            copied.input[1] = self._kernel(node)
            if len(node.input) > 2 and node.input[2]:
                copied.input[2] = self._scaled("Div", node.input[2], node.output[0], 0, 1)
        self.nodes.append(copied)
        for name in node.output:
            if name in self._outputs or name in self._inputs:
                self._round_activation(name)

    def _round_activation(self, name: str) -> None:
        scale, zero = self._activations[name]
        self._rounded[name] = self._pair(name, self._constant(f"{name}.scale", scale), self._constant("", zero))

    def _weight(self, node: onnx.NodeProto, *, fused: bool) -> str:
        """The rounded kernel; where the convolution is not fused, in a form that ONNX Runtime makes float32 once."""
        name = node.input[1]
        scales = self._weight_scale(self._scaled_values(node))
        scale = self._constant(f"{name}.scale", scales)
        zero = self._constant("", np.zeros(len(scales), np.int8))
        rounded, result = f"{name}.8", f"{name}.9"
        if name in self._products:
            self._constant(rounded, self._rounded_kernel(node, scales))
        else:
            self._add("QuantizeLinear", [self._kernel(node), scale, zero], rounded, axis=0)
        if fused:
            self._add("DequantizeLinear", [rounded, scale, zero], result, axis=0)
        else:
            column = self._constant(f"{name}.column", scales.reshape(-1, 1, 1, 1))
            self._add("Cast", [rounded], f"{name}.steps", to=onnx.TensorProto.FLOAT)
            self._add("Mul", [f"{name}.steps", column], result)
        return result

    def _rounded_kernel(self, node: onnx.NodeProto, scales: Array) -> npt.NDArray[np.int8]:
        values = self._scaled_values(node)
        inputs = np.broadcast_to(self._factors(node.input[0], 0, 3), values.shape[1:])
        products = self._products[node.input[1]] / np.outer(inputs, inputs)
        return round_kernel(values.reshape(len(values), -1), scales, products).reshape(values.shape)

    def _kernel(self, node: onnx.NodeProto) -> str:
        """A kernel that takes its input and gives its output as they are scaled."""
        axes = self._weights[node.input[1]].ndim
        inputs, outputs = _channel_axes(node)
        name = self._scaled("Div", node.input[1], node.output[0], outputs, axes)
        return self._scaled("Mul", name, node.input[0], inputs, axes)

    def _scaled_values(self, node: onnx.NodeProto) -> Array:
        """The values of `_kernel`."""
        values = self._weights[node.input[1]]
        inputs, outputs = _channel_axes(node)
        taken, given = (
            self._factors(name, axis, values.ndim)
            for name, axis in ((node.input[0], inputs), (node.output[0], outputs))
        )
        return values * (taken / given)

    def _factors(self, tensor: str, axis: int, axes: int) -> Array:
        """By what the channels of a tensor are divided, along one of the axes of an array."""
        shape = [-1 if number == axis else 1 for number in range(axes)]
        return self._scales.get(tensor, np.ones(1, np.float32)).reshape(shape)

    def _scaled(self, operation: str, name: str, tensor: str, axis: int, axes: int) -> str:
        """A kernel or bias multiplied or divided as the channels of a tensor are scaled."""
        if tensor not in self._scales:
            return name
        constant = self._constant(f"{tensor}.{axis}.{axes}", self._factors(tensor, axis, axes))
        result = f"{name}.{operation}"
        self._add(operation, [name, constant], result)
        return result

    def _bias(self, layer: Layer) -> str:
        """The bias, rounded to 32 bit in the unit of the products, as QLinearConv wants it."""
        weight = self.constants[f"{layer.weight}.scale"]
        scale = self._activations[layer.input][0] * numpy_helper.to_array(weight)
        bias = self._weights[layer.bias] / self._factors(layer.output, 0, 1)
        limit = np.iinfo(np.int32)
        rounded = np.rint(bias / scale.astype(np.float64)).clip(limit.min, limit.max).astype(np.int32)
        name = f"{layer.bias}.int32"
        inputs = [self._constant(name, rounded), self._constant(f"{name}.scale", scale)]
        self._add("DequantizeLinear", inputs, f"{name}.float", axis=0)
        return f"{name}.float"

    @staticmethod
    def _weight_scale(values: Array) -> Array:
        largest = np.abs(values).max(axis=(1, 2, 3))
        return (np.where(largest > 0, largest, 1) / LARGEST).astype(np.float32)

    def _pair(self, name: str, scale: str, zero: str) -> str:
        """QuantizeLinear and DequantizeLinear; returns the name of what comes out."""
        self._add("QuantizeLinear", [name, scale, zero], f"{name}.8")
        self._add("DequantizeLinear", [f"{name}.8", scale, zero], f"{name}.9")
        return f"{name}.9"

    def _add(self, operation: str, inputs: list[str], result: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operation, inputs, [result], **attributes))

    def _constant(self, name: str, value: npt.ArrayLike) -> str:
        """A constant of the graph; one without a name is shared by all that have its value."""
        array = np.asarray(value)
        name = name or f"zero.{array.dtype}.{array.shape}.{array.max()}"
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name


def _equalising_scales(
    model: onnx.ModelProto, layers: Sequence[Layer], seen: Mapping[str, Seen], weights: Mapping[str, Array]
) -> dict[str, Array]:
    """By what the channels between convolutions are divided, (C,) for each tensor: alike for all that are added."""
    inputs = {layer.input for layer in layers}
    scales: dict[str, Array] = {}
    for group in _scaled_alike(model, weights):
        reaching = [seen[name].largest for name in sorted(group & inputs) if seen[name].largest.max() > 0]
        if reaching:
            shares = np.max([largest / largest.max() for largest in reaching], axis=0)
            scales |= dict.fromkeys(group, np.maximum(shares, LEAST_SHARE).astype(np.float32))
    return scales


def _scaled_alike(model: onnx.ModelProto, weights: Mapping[str, Array]) -> list[set[str]]:
    """Sets of tensors that sums and ReLUs join, and that nothing else gives or reads but known convolutions."""
    graph = model.graph
    fixed = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    group_of: dict[str, set[str]] = {}
    channels: dict[str, int] = {}
    for node in graph.node:
        touched = {name for name in (*node.input, *node.output) if name}
        if node.op_type in HOMOGENEOUS:
            joined = set().union(*(group_of.get(name, {name}) for name in touched))
            group_of |= dict.fromkeys(joined, joined)
        elif node.op_type in CONVOLUTIONS and node.input[1] in weights and _groups(node) == 1:
            for name, axis in zip((node.input[0], node.output[0]), _channel_axes(node), strict=True):
                group_of.setdefault(name, {name})
                channels[name] = weights[node.input[1]].shape[axis]
        else:
            fixed |= touched
    groups = list({id(group): group for group in group_of.values()}.values())
    counts = [{channels[name] for name in group & channels.keys()} for group in groups]
    return [group for group, found in zip(groups, counts, strict=True) if len(found) == 1 and not group & fixed]


def _channel_axes(node: onnx.NodeProto) -> tuple[int, int]:
    """Which axes of a convolution's kernel are its inputs and its outputs."""
    return (0, 1) if node.op_type == "ConvTranspose" else (1, 0)


def _groups(node: onnx.NodeProto) -> int:
    return next((int(item.i) for item in node.attribute if item.name == "group"), 1)


def _dilations(node: onnx.NodeProto) -> Sequence[int]:
    return next((item.ints for item in node.attribute if item.name == "dilations"), [1])


def users_of(nodes: Iterable[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    """Those that read each tensor."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
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
        if node.op_type in CONVOLUTIONS:
            reached.update(targets)
    return found
