"""Exporting: a network becomes a bundle, with a graph that needs no torch.

writer = BundleWriter(network)            # once a run: exports the graph and checks it, in seconds
writer.write(folder, name=..., ...)       # at each validation: the weights as they are now, in milliseconds
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from noiseless import bundle
from noiseless.bundle import Bundle
from noiseless.networks import spec_of

if TYPE_CHECKING:
    from torch import nn

LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


class BundleWriter:
    """Writes a network as a bundle as often as its weights change, exporting its graph only once.

    Args:
        network: with an attribute ``spec`` (`noiseless.bundle.NetworkSpec`); never changed.

    Raises:
        WorkError: the network cannot be exported, or the graph does not compute what the network does.
    """

    def __init__(self, network: nn.Module) -> None:
        from noiseless.exporting.graph import export_graph

        self._network = network
        self._graph = export_graph(network)

    def write(
        self,
        folder: str | Path,
        *,
        name: str,
        network_name: str,
        arguments: Mapping[str, Any],
        noise: Mapping[str, Any] | None,
        card: str,
        train: Mapping[str, Any],
        told: str | None = None,
        unclips: bool = False,
        ceiling: float | None = None,
        dtype: str = "float16",
    ) -> Bundle:
        """Write the network as it is now. The folder appears whole or not at all.

        Args:
            folder: where to; a bundle that is there is replaced.
            name: of the model.
            network_name: key of the network table.
            arguments: its constructor arguments; plain data.
            noise: what it was trained for, as `Noise.to_dict` writes it.
            card: the model card, Markdown.
            train: how it was trained; plain data.
            told: the noise that ``noise="auto"`` tells it, as an expression; measured in each image where ``None``.
            unclips: whether it undoes clipping by itself.
            ceiling: most that is removed around a pixel, as of `noiseless.bundle.Bundle`.
            dtype: of the stored weights, ``"float16"`` or ``"float32"``; vectors (biases, norms) keep theirs.

        Raises:
            OutputError: the folder cannot be written.
        """
        content, places = bundle.pack(network_tensors(self._network, dtype))
        made = Bundle(
            path=Path(folder),
            name=name,
            network=network_name,
            arguments=dict(arguments),
            spec=spec_of(self._network),
            noise=noise,
            told=told,
            unclips=unclips,
            ceiling=ceiling,
            bytes_per_pixel=self._graph.bytes_per_pixel,
        )
        files = {
            bundle.WEIGHTS: content,
            bundle.GRAPH: self._graph.attach(places),
            bundle.CARD: card.encode(),
            bundle.TRAIN: (json.dumps(train, indent=2, default=str) + "\n").encode(),
        }
        return bundle.write(made, files)


def save_bundle(network: nn.Module, folder: str | Path, **record: Any) -> Bundle:
    """Save a network as a bundle that runs without torch: a `BundleWriter` that writes once.

    Args:
        network: with an attribute ``spec``.
        folder: where to.
        record: the other arguments of `BundleWriter.write`.

    Raises:
        OutputError: the folder cannot be written.
        WorkError: the network cannot be exported, or the graph does not compute what the network does.
    """
    return BundleWriter(network).write(folder, **record)


def network_tensors(network: nn.Module, dtype: str) -> dict[str, npt.NDArray[Any]]:
    """A network's parameters and buffers; matrices and kernels in `dtype` where their values fit."""
    tensors = {}
    for name, tensor in network.state_dict().items():
        array = np.ascontiguousarray(tensor.detach().cpu().contiguous().numpy())
        large = array.dtype == np.float32 and array.ndim > 1
        fits = large and np.abs(array).max(initial=0) <= LARGEST_FLOAT16
        tensors[name] = array.astype(dtype) if fits else array
    return tensors
