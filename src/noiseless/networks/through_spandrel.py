"""Networks of other projects that are not ours, through the library spandrel (the [foreign] extra).

spandrel recognises some fifty architectures by the names and shapes of their tensors. `recognise` asks it where our
own layouts know nothing. What is then kept of a checkpoint, beside its weights, is the list of its tensors: spandrel
makes the same network from it again, so that a bundle of such a network is made, read and fine-tuned like any other.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from noiseless.bundle import NetworkSpec
from noiseless.errors import BundleError, MissingExtraError
from noiseless.networks.spec import TOLERANCE, measure_halo, noisy_picture
from noiseless.tiling import round_up

NETWORK = "spandrel"
LARGEST_HALO = 64


def installed() -> bool:
    """Whether spandrel is there."""
    return importlib.util.find_spec("spandrel") is not None


class Spandrel(nn.Module):
    """A network that spandrel knows, blind: (B, C, H, W) in [0, 1] scale to the same shape, unclipped.

    Args:
        tensors: of a checkpoint of it, in its order, as ``name:dtype:SHAPE``: ``body.0.weight:float32:64x3x3x3``.
        halo: pixels of context that a tile needs; ``None`` where it must be run whole.

    Raises:
        MissingExtraError: spandrel is not installed.
        BundleError: spandrel knows no such network, or it makes no image of the size of the one it is given.
    """

    def __init__(self, tensors: Sequence[str], halo: int | None = None) -> None:
        super().__init__()
        found = _describe(dict(map(_empty, tensors)))
        if found is None:
            raise BundleError("spandrel does not know this network", got=f"{len(tensors)} tensors, as {tensors[0]}")
        self.network: nn.Module = found.model
        self._call = found._call_fn  # what the descriptor's own call does without clipping, and with gradients
        size = found.size_requirements
        self.spec = NetworkSpec(found.input_channels, size.multiple_of, max(1, size.minimum), halo)

    def forward(self, x: Tensor) -> Tensor:
        """The restored image."""
        restored: Tensor = self._call(self.network, x)
        return restored


def recognise(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Any], dict[str, Tensor]] | None:
    """What spandrel makes of a state dict; ``None`` where it is not installed or does not know the network.

    Args:
        state: float32 tensors by name.

    Returns:
        As `noiseless.networks.foreign.recognise`.

    Raises:
        BundleError: a network that makes no image of the size of the one it is given, or one that is not made again
            from the list of its tensors.
    """
    found = _describe(state) if installed() else None
    if found is None:
        return None
    tensors = [_described(name, tensor) for name, tensor in state.items()]
    network = Spandrel(tensors).eval()
    try:
        network.network.load_state_dict(found.model.state_dict())
    except RuntimeError as error:
        raise BundleError(_lost(found), got=str(error).partition("\n")[0]) from error
    spec = network.spec
    side = round_up(max(64, spec.minimum_size), spec.multiple_of)
    picture = noisy_picture(spec.channels, side, 0)
    with torch.no_grad():
        difference = float((network(picture) - found._call_fn(found.model.eval(), picture)).abs().max())
    if not difference <= TOLERANCE:
        raise BundleError(_lost(found), got=f"results that differ by {difference:.2g}")
    tiles = found.tiling.name == "SUPPORTED"
    halo = measure_halo(network, limit=LARGEST_HALO // spec.multiple_of * spec.multiple_of) if tiles else None
    return NETWORK, {"tensors": tensors, "halo": halo}, network.state_dict()


def _describe(state: Mapping[str, Tensor]) -> Any:
    """spandrel's description of a network, ``None`` where it does not know it.

    Raises:
        MissingExtraError: spandrel is not installed.
        BundleError: the network makes no image of the size of the one it is given.
    """
    try:
        import spandrel
    except ModuleNotFoundError as error:
        raise MissingExtraError("this network", "foreign") from error
    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(state))
    except spandrel.UnsupportedModelError:
        return None
    except (RuntimeError, ValueError, KeyError, IndexError, AssertionError) as error:
        raise BundleError("spandrel cannot make this network", got=str(error).partition("\n")[0]) from error
    same = found.purpose == "Restoration" and found.scale == 1 and found.input_channels == found.output_channels
    if not same or found.size_requirements.square:
        raise BundleError(
            f"the checkpoint is of {found.architecture.name}, which cannot be used here",
            got=f"{found.purpose}, scale {found.scale}, {found.input_channels} -> {found.output_channels} channels",
            expected="a network that restores images of any size in their size",
        )
    return found


def _described(name: str, tensor: Tensor) -> str:
    """A tensor's name, dtype and shape, as `Spandrel` takes them."""
    return f"{name}:{str(tensor.dtype).removeprefix('torch.')}:{'x'.join(map(str, tensor.shape))}"


def _empty(described: str) -> tuple[str, Tensor]:
    """A tensor of zeros from its description."""
    name, dtype, shape = described.rsplit(":", 2)
    sides = [int(side) for side in shape.split("x")] if shape else []
    return name, torch.zeros(sides, dtype=getattr(torch, dtype))


def _lost(found: Any) -> str:
    return f"the checkpoint is of {found.architecture.name}, which its tensors' shapes alone do not describe"
