"""Batch normalisation as part of the convolution before it: in int8 nothing may stand between that and its ReLU."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from noiseless.exporting.quantise import users_of

Array = npt.NDArray[np.float32]


def fold_normalisation(
    model: onnx.ModelProto, weights: Mapping[str, Array]
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The graph without the batch normalisations that follow a convolution and nothing else reads.

    The kernel is multiplied when a session is made, from where the float graph reads it; the bias is a constant.

    Args:
        model: left as it is.
        weights: the learnt tensors by name.

    Returns:
        The graph, and its learnt tensors with the new kernels and biases.
    """
    model, known = copy.deepcopy(model), dict(weights)
    nodes = list(model.graph.node)
    for convolution, normalisation in _pairs(nodes, weights):
        read, kernel, *bias = convolution.input
        gain, shift, mean, variance = (weights[name] for name in normalisation.input[1:])
        factor = gain / np.sqrt(variance + _epsilon(normalisation))
        multiplied, added, constant = (f"{kernel}.{part}" for part in ("normalised", "shift", "factor"))
        column = factor.reshape(-1, *(1,) * (weights[kernel].ndim - 1))
        known[multiplied] = weights[kernel] * column
        known[added] = shift + ((weights[bias[0]] if bias else 0) - mean) * factor
        values = {constant: column, added: known[added]}
        model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
        nodes.insert(nodes.index(convolution), helper.make_node("Mul", [kernel, constant], [multiplied]))
        convolution.input[:] = [read, multiplied, added]
        convolution.output[:] = normalisation.output[:1]
        nodes.remove(normalisation)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model, known


def _pairs(nodes: list[onnx.NodeProto], weights: Mapping[str, Array]) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Convolutions and the normalisations that alone read them, all learnt."""
    users = users_of(nodes)
    pairs = [(node, users[node.output[0]][0]) for node in nodes if len(users.get(node.output[0], [])) == 1]
    return [
        (first, second)
        for first, second in pairs
        if (first.op_type, second.op_type) == ("Conv", "BatchNormalization")
        and weights.keys() >= {*first.input[1:], *second.input[1:]}
    ]


def _epsilon(normalisation: onnx.NodeProto) -> np.float32:
    return np.float32(next((item.f for item in normalisation.attribute if item.name == "epsilon"), 1e-5))
