"""A network's ONNX graph without its weights, to be attached to a safetensors file."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from noiseless import bundle
from noiseless.bundle import NetworkSpec, Stored
from noiseless.errors import WorkError
from noiseless.exporting.memory import peak_bytes
from noiseless.exporting.quantise import CONVOLUTIONS, drop_unused
from noiseless.exporting.session import open_session
from noiseless.networks import spec_of
from noiseless.tiling import round_up

IMAGE, SIGMA, RESTORED = "image", "sigma", "restored"
TOLERANCE = 1e-4
"""Largest difference between torch and ONNX Runtime, relative to the largest value where that is above 1."""

MOST_INLINE_BYTES = 1 << 16
ELEMENT_TYPES = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT, "I64": TensorProto.INT64}


@dataclass(frozen=True)
class Graph:
    """An ONNX graph whose weights are named and not there.

    Inputs are ``image`` (B, C, H, W) and, for a conditioned network, ``sigma``, broadcastable to it; the
    output is ``restored`` (B, C, H, W); B, H and W are dynamic.

    Attributes:
        model: the serialised ONNX model.
        bytes_per_pixel: memory that activations need at their peak for each pixel.
    """

    model: bytes
    bytes_per_pixel: float

    def attach(self, places: Mapping[str, Stored]) -> bytes:
        """The model with its weights as external data in the bundle's safetensors file.

        Args:
            places: where each tensor lies, see `noiseless.bundle.pack`.
        """
        model = onnx.load_from_string(self.model)
        casts = []
        for weight in model.graph.initializer:
            if weight.data_location != TensorProto.EXTERNAL:
                continue
            place = places[weight.name]
            weight.data_type = ELEMENT_TYPES[place.dtype]
            entries = {"location": bundle.WEIGHTS, "offset": place.offset, "length": place.length}
            weight.external_data.extend(
                onnx.StringStringEntryProto(key=key, value=str(value)) for key, value in entries.items()
            )
            if place.dtype == "F16":
                name, weight.name = weight.name, f"{weight.name}.float16"
                casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
        _prepend(model, casts)
        attached: bytes = model.SerializeToString()
        return attached


def export_graph(network: nn.Module) -> Graph:
    """Export a network and check it against torch at an odd size, with weights it was not exported with.

    Args:
        network: with an attribute ``spec``; left as it is.

    Raises:
        WorkError: it cannot be exported, or the graph does not compute what the network does.
    """
    network = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    reasons = []
    for optimize in (True, False):
        try:
            model = _export(network, optimize)
            _detach(model, network)
            skeleton = model.SerializeToString()
            _check(skeleton, network)
            graph = Graph(skeleton, _bytes_per_pixel(skeleton, network))
        except _NotParametric as error:
            reasons.append(str(error))
        else:
            return graph
    what = f"the ONNX graph of {type(network).__name__} is not what torch computes"
    raise WorkError(what, got="; ".join(reasons))


class _NotParametric(Exception):
    """Something of the weights went into the graph itself."""


def _export(network: nn.Module, optimize: bool) -> onnx.ModelProto:
    image, sigma = _example(spec_of(network), 2, (3, 4))
    dynamic = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    inputs = (image,) if sigma is None else (image, sigma)
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                inputs,
                dynamo=True,
                optimize=optimize,
                verbose=False,
                input_names=[IMAGE, SIGMA][: len(inputs)],
                output_names=[RESTORED],
                dynamic_shapes=(dynamic,) * len(inputs),
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise WorkError(f"{type(network).__name__} cannot be exported to ONNX", got=str(error)) from error
    assert program is not None
    model = program.model_proto
    _drop_zero_biases(model)
    _name_dimensions(model, spec_of(network))
    if sigma is not None:
        _broadcast_sigma(model)
    return model


def _example(spec: NetworkSpec, batch: int, multiples: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    """An image and a map to try a network on; its sides are different multiples of what it demands."""
    smallest = round_up(spec.minimum_size, spec.multiple_of)
    height, width = (smallest + number * spec.multiple_of for number in multiples)
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, spec.channels, height, width, generator=generator)
    return image, 0.2 * torch.rand(image.shape, generator=generator) if spec.conditioning == "sigma" else None


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's warnings and log lines are about its own insides."""
    logger = logging.getLogger("torch.onnx")
    loggers = [logger, logging.getLogger("onnxscript"), logging.getLogger("onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)


def _drop_zero_biases(model: onnx.ModelProto) -> None:
    """Take out the zeros that the exporter adds to a convolution without a bias."""
    made = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in CONVOLUTIONS and len(node.input) == 3 and _is_zero(node.input[2], made):
            del node.input[2:]
    drop_unused(model)


def _is_zero(name: str, made: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a tensor is a constant of zeros in a shape of its own."""
    node = made.get(name)
    while node is not None and node.op_type in ("Expand", "CastLike", "Cast"):
        node = made.get(node.input[0])
    if node is None or node.op_type != "Constant" or node.attribute[0].type != onnx.AttributeProto.TENSOR:
        return False
    return not onnx.numpy_helper.to_array(node.attribute[0].t).any()


def _name_dimensions(model: onnx.ModelProto, spec: NetworkSpec) -> None:
    names = ("batch", None, "height", "width")
    for value in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if name is not None:
                dimension.dim_param = name
            else:
                dimension.dim_value = spec.channels


def _broadcast_sigma(model: onnx.ModelProto) -> None:
    """Let ``sigma`` be anything that broadcasts to the image."""
    inner = f"{SIGMA}_map"
    for node in model.graph.node:
        node.input[:] = [inner if name == SIGMA else name for name in node.input]
    sigma = next(value for value in model.graph.input if value.name == SIGMA)
    for dimension in sigma.type.tensor_type.shape.dim:
        dimension.Clear()
    shape = helper.make_node("Shape", [IMAGE], [f"{IMAGE}_shape"])
    _prepend(model, [shape, helper.make_node("Expand", [SIGMA, f"{IMAGE}_shape"], [inner])])


def _prepend(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])


def _detach(model: onnx.ModelProto, network: nn.Module) -> None:
    """Take the weights out, and everything that is only said about the graph."""
    names = set(network.state_dict())
    for weight in model.graph.initializer:
        if weight.name in names and weight.data_type == TensorProto.FLOAT:
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
        weight.ClearField("metadata_props")
    del model.graph.value_info[:]
    del model.metadata_props[:]
    model.graph.ClearField("metadata_props")
    for item in (*model.graph.node, *model.graph.input, *model.graph.output):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    _shorten_names(model)
    inline = _inline_bytes(model)
    if inline > MOST_INLINE_BYTES:
        raise _NotParametric(f"{inline} bytes of constants: some weights went into it")


def _shorten_names(model: onnx.ModelProto) -> None:
    """Number the nodes' results: their names would make up most of the graph."""
    kept = {value.name for value in (*model.graph.input, *model.graph.output, *model.graph.initializer)}
    results = (name for node in model.graph.node for name in node.output if name not in kept)
    short = {name: f"_{number}" for number, name in enumerate(results)}
    for node in model.graph.node:
        node.ClearField("name")
        node.input[:] = [short.get(name, name) for name in node.input]
        node.output[:] = [short.get(name, name) for name in node.output]


def _inline_bytes(model: onnx.ModelProto) -> int:
    """Bytes of constants in the graph itself."""
    constants = [weight for weight in model.graph.initializer if weight.data_location != TensorProto.EXTERNAL]
    attributes = (attribute for node in model.graph.node for attribute in node.attribute)
    tensors = [*constants, *(attribute.t for attribute in attributes)]
    return sum(int(tensor.ByteSize()) for tensor in tensors)


def _bytes_per_pixel(skeleton: bytes, network: nn.Module) -> float:
    image, sigma = _example(spec_of(network), 1, (3, 4))
    peak = peak_bytes(_with_weights(skeleton, network), _feeds(image, sigma))
    return round(peak / (image.shape[-2] * image.shape[-1]), 1)


def _check(skeleton: bytes, network: nn.Module) -> None:
    """Compare torch and ONNX Runtime with changed weights, which must all be outside the graph."""
    generator = torch.Generator().manual_seed(1)
    changed = copy.deepcopy(network)
    for tensor in changed.state_dict().values():
        if tensor.is_floating_point():
            tensor.mul_(1 + 0.1 * torch.rand(tensor.shape, generator=generator))
    image, sigma = _example(spec_of(network), 1, (5, 2))
    with torch.inference_mode():
        expected = (changed(image) if sigma is None else changed(image, sigma)).numpy()
    session = open_session(_with_weights(skeleton, changed).SerializeToString())
    found = session.run(None, _feeds(image, sigma))[0]
    error = float(np.abs(found - expected).max()) / max(1.0, float(np.abs(expected).max()))
    if not error <= TOLERANCE:
        raise _NotParametric(f"a difference of {error:.2g} where {TOLERANCE} is allowed")


def _feeds(image: Tensor, sigma: Tensor | None) -> dict[str, npt.NDArray[np.float32]]:
    return {IMAGE: image.numpy()} if sigma is None else {IMAGE: image.numpy(), SIGMA: sigma.numpy()}


def _with_weights(skeleton: bytes, network: nn.Module) -> onnx.ModelProto:
    """The model with its weights inside."""
    model = onnx.load_from_string(skeleton)
    state = network.state_dict()
    for weight in model.graph.initializer:
        if weight.data_location == TensorProto.EXTERNAL:
            weight.CopyFrom(onnx.numpy_helper.from_array(state[weight.name].numpy(), weight.name))
    return model
