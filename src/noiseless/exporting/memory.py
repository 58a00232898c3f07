"""How much memory a graph's activations need: what chooses the size of tiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import onnx

from noiseless.exporting.session import open_session


def peak_bytes(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[np.float32]]) -> int:
    """Most bytes of activations alive at once, when nodes run in the order of the graph.

    Args:
        model: a whole ONNX graph, with its weights.
        feeds: inputs by name.
    """
    sizes = {name: array.nbytes for name, array in feeds.items()} | _activations(model, feeds)
    nodes = model.graph.node
    last_use = {name: number for number, node in enumerate(nodes) for name in node.input}
    ends = {output.name for output in model.graph.output}
    alive = peak = sum(array.nbytes for array in feeds.values())
    for number, node in enumerate(nodes):
        alive += sum(sizes.get(name, 0) for name in node.output)
        peak = max(peak, alive)
        done = {name for name in node.input if last_use[name] == number and name not in ends}
        alive -= sum(sizes.get(name, 0) for name in done)
    return peak


def _activations(model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, int]:
    """Bytes of each node's outputs, from a run in which all of them are outputs of the graph."""
    from onnxruntime import GraphOptimizationLevel

    told = onnx.ModelProto()
    told.CopyFrom(model)
    names = [name for node in model.graph.node for name in node.output if name]
    del told.graph.output[:]
    told.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = open_session(told.SerializeToString(), graph_optimization_level=GraphOptimizationLevel.ORT_DISABLE_ALL)
    return {name: array.nbytes for name, array in zip(names, session.run(names, feeds), strict=True)}
