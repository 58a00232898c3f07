"""How other projects name the tensors of networks that are also ours.

A layout is the set of names that occur, with ``#`` for every number, and a function that turns such a state dict into
the arguments and the names of our network. Shapes say the rest: widths, depth, channels.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

State = dict[str, Tensor]
Converted = tuple[dict[str, Any], State]

WEIGHTS = ("weight", "bias")
NORM = (*WEIGHTS, "running_mean", "running_var", "num_batches_tracked")
NORM_EPSILON = 1e-5
IRCNN_DEPTH = 7


@dataclass(frozen=True)
class Layout:
    """Names of the tensors of one network in one project.

    Attributes:
        title: for messages: the network and whose naming it is.
        network: a key of `noiseless.networks.NETWORKS`.
        names: every name that may occur, numbers written as ``#``.
        required: those that must occur.
        convert: from such a state dict to arguments and our names.
        fits: whether a state dict with these names is of this network, where several share them.
    """

    title: str
    network: str
    names: frozenset[str]
    required: frozenset[str]
    convert: Callable[[State], Converted]
    fits: Callable[[State], bool] = lambda state: True


def named(prefixes: tuple[str, ...], endings: tuple[str, ...]) -> frozenset[str]:
    """All names ``prefix.ending``."""
    return frozenset(f"{prefix}.{ending}" for prefix in prefixes for ending in endings)


def _row(state: State, prefix: str) -> Converted:
    """Arguments that DnCNN and FFDNet share, from a row of layers ``prefix.#``, and the row as ``model.#``."""
    row = {re.sub(rf"^{re.escape(prefix)}\.", "model.", name): tensor for name, tensor in state.items()}
    weights = _in_order(name for name, tensor in row.items() if tensor.ndim == 4)
    first = row[weights[0]]
    arguments = {
        "width": first.shape[0],
        "depth": len(weights),
        "kernel_size": first.shape[-1],
        "batch_norm": any(name.endswith(".running_mean") for name in row),
        "bias": any(name.replace("weight", "bias") in row for name in weights),
    }
    return arguments, row


def _in_order(names: Any) -> list[str]:
    return sorted(names, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _ends(state: State) -> tuple[Tensor, Tensor]:
    """The first and the last convolution of a row."""
    names = _in_order(name for name, tensor in state.items() if tensor.ndim == 4)
    return state[names[0]], state[names[-1]]


def _inputs_match_outputs(state: State) -> bool:
    first, last = _ends(state)
    return first.shape[1] == last.shape[0] and not _is_ircnn(state)


def _is_ircnn(state: State) -> bool:
    """IRCNN has the names of a DnCNN of seven layers, but gaps in its kernels that the tensors do not show."""
    return sum(tensor.ndim == 4 for tensor in state.values()) == IRCNN_DEPTH and "model.0.bias" in state


def _has_a_level(state: State) -> bool:
    first, last = _ends(state)
    return last.shape[0] % 4 == 0 and first.shape[1] == last.shape[0] + 1


def dncnn(prefix: str) -> Callable[[State], Converted]:
    """DnCNN as a row of layers ``prefix.#``."""

    def convert(state: State) -> Converted:
        arguments, row = _row(state, prefix)
        return {"channels": _ends(state)[1].shape[0], **arguments}, row

    return convert


def bias_free_dncnn(state: State) -> Converted:
    """DnCNN with layers in lists.

    Without biases its batch norm only divides by a standard deviation, so at inference it is a factor of each feature,
    which goes into the convolution before it.
    """
    hidden = [state[name] for name in _in_order(name for name in state if re.match(r"hidden.*weight$", name))]
    bias = "first_layer.bias" in state
    row = {"model.0.weight": state["first_layer.weight"]}
    step = 3 if bias else 2
    for number, weight in enumerate(hidden):
        norm = {key: state[f"bn_layer_list.{number}.{key}"] for key in NORM if key != "num_batches_tracked"}
        place = 2 + step * number
        if bias:
            row[f"model.{place}.weight"] = weight
            row[f"model.{place}.bias"] = state[f"hidden_layer_list.{number}.bias"]
            row |= {f"model.{place + 1}.{key}": value for key, value in norm.items()}
        else:
            factor = norm["weight"] / (norm["running_var"].sqrt() + NORM_EPSILON)
            row[f"model.{place}.weight"] = weight * factor.reshape(-1, 1, 1, 1)
    last = 2 + step * len(hidden)
    row[f"model.{last}.weight"] = state["last_layer.weight"]
    if bias:
        row |= {"model.0.bias": state["first_layer.bias"], f"model.{last}.bias": state["last_layer.bias"]}
    return dncnn("model")(row)


def ffdnet(state: State) -> Converted:
    """FFDNet as its authors release it: one level for all colours after the pixels; it gives the image."""
    arguments, row = _row(state, "model")
    channels = _ends(state)[1].shape[0] // 4
    pixels, level = torch.tensor_split(row["model.0.weight"], [4 * channels], dim=1)
    row["model.0.weight"] = interleaved(pixels, level, channels)
    return {"channels": channels, **arguments, "residual": False}, row


def ipol_ffdnet(prefix: str) -> Callable[[State], Converted]:
    """FFDNet as published in IPOL: a level for each colour before the pixels; it gives the noise."""

    def convert(state: State) -> Converted:
        arguments, row = _row(state, prefix)
        channels = _ends(state)[1].shape[0] // 4
        level, pixels = torch.tensor_split(row["model.0.weight"], [channels], dim=1)
        row["model.0.weight"] = interleaved(pixels, level, channels)
        return {"channels": channels, **arguments, "residual": True}, row

    return convert


def interleaved(pixels: Tensor, level: Tensor, channels: int) -> Tensor:
    """Weights (out, in, k, k) of pixels and of levels, in the order of `noiseless.networks.blocks.fold`.

    A level that all colours share is the sum of theirs, a third of the weight each.
    """
    shared = level.shape[1] == 1
    levels = level.expand(-1, channels, -1, -1) / channels if shared else level
    colours = pixels.reshape(pixels.shape[0], channels, -1, *pixels.shape[2:])
    return torch.cat([colours, levels.unsqueeze(2)], dim=2).flatten(1, 2)


def drunet(state: State) -> Converted:
    """DRUNet as its authors release it: one level for all colours after them; it gives the image."""
    head, channels = state["m_head.weight"], state["m_tail.weight"].shape[0]
    widths = [head.shape[0], *(state[f"m_up{level}.0.weight"].shape[0] for level in (1, 2, 3))]
    told = head.shape[1] == channels + 1
    mapped = dict(state)
    if told:
        mapped["m_head.weight"] = interleaved(head[:, :channels], head[:, channels:], channels)
    arguments = {
        "channels": channels,
        "widths": widths,
        "depth": sum(bool(re.fullmatch(r"m_body\.\d+\.res\.0\.weight", name)) for name in state),
        "kernel_size": state["m_body.0.res.0.weight"].shape[-1],
        "residual": False,
        "conditioning": "sigma" if told else "none",
    }
    return arguments, mapped


def nafnet(state: State) -> Converted:
    """NAFNet as its authors release it."""

    def depth(prefix: str) -> int:
        return sum(bool(re.fullmatch(rf"{prefix}\.\d+\.beta", name)) for name in state)

    levels = sum(bool(re.fullmatch(r"downs\.\d+\.weight", name)) for name in state)
    kernel_size = next(tensor.shape[-1] for name, tensor in state.items() if name.endswith(".conv2.weight"))
    arguments = {
        "channels": state["intro.weight"].shape[1],
        "width": state["intro.weight"].shape[0],
        "encoder_depths": [depth(rf"encoders\.{level}") for level in range(levels)],
        "middle_depth": depth("middle_blks"),
        "decoder_depths": [depth(rf"decoders\.{level}") for level in range(levels)],
        "kernel_size": kernel_size,
    }
    return arguments, dict(state)


def dilated_unet(state: State) -> Converted:
    """The U-Net of the bias-free project; it gives the image."""
    arguments = {
        "channels": state["conv9.weight"].shape[0],
        "widths": [state["conv1.weight"].shape[0], state["conv3.weight"].shape[0]],
        "kernel_size": state["conv1.weight"].shape[-1],
        "residual": False,
        "bias": "conv1.bias" in state,
    }
    return arguments, dict(state)


_IPOL, _IPOL_CORRECTED = "intermediate_dncnn.itermediate_dncnn", "intermediate_dncnn.intermediate_dncnn"
_BIAS_FREE = named(("first_layer", "hidden_layer_list.#", "last_layer"), WEIGHTS) | named(("bn_layer_list.#",), NORM)
_DRUNET_BLOCKS = tuple(f"{part}.#.res.#" for part in ("m_down#", "m_body", "m_up#"))
_DRUNET = named((*_DRUNET_BLOCKS, "m_head", "m_down#.#", "m_up#.#", "m_tail"), ("weight",))
_NAFNET_LAYERS = tuple(
    f"{part}.{layer}"
    for part in ("encoders.#.#", "middle_blks.#", "decoders.#.#")
    for layer in ("norm#", "conv#", "sca.#")
)
_NAFNET = (
    named((*_NAFNET_LAYERS, "intro", "ending", "downs.#"), WEIGHTS)
    | named(("encoders.#.#", "middle_blks.#", "decoders.#.#"), ("beta", "gamma"))
    | {"ups.#.#.weight"}
)

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "DnCNN",
        "dncnn",
        named(("model.#",), NORM),
        frozenset({"model.#.weight"}),
        dncnn("model"),
        _inputs_match_outputs,
    ),
    Layout(
        "FFDNet",
        "ffdnet",
        named(("model.#",), NORM),
        frozenset({"model.#.weight"}),
        ffdnet,
        _has_a_level,
    ),
    Layout(
        "DnCNN with batch norm",
        "dncnn",
        named(("dncnn.#",), NORM),
        frozenset({"dncnn.#.weight"}),
        dncnn("dncnn"),
        _inputs_match_outputs,
    ),
    Layout(
        "DnCNN of BUIFD",
        "dncnn",
        named(("dncnn.dncnn.#",), NORM),
        frozenset({"dncnn.dncnn.#.weight"}),
        dncnn("dncnn.dncnn"),
        _inputs_match_outputs,
    ),
    Layout(
        "bias-free DnCNN",
        "dncnn",
        _BIAS_FREE,
        frozenset({"first_layer.weight", "hidden_layer_list.#.weight", "last_layer.weight"}),
        bias_free_dncnn,
    ),
    Layout(
        "bias-free U-Net",
        "dilated_unet",
        named(("conv#",), WEIGHTS),
        frozenset({"conv#.weight"}),
        dilated_unet,
    ),
    *(
        Layout(
            "FFDNet of IPOL",
            "ffdnet",
            named((prefix + ".#",), NORM),
            frozenset({prefix + ".#.weight"}),
            ipol_ffdnet(prefix),
        )
        for prefix in (_IPOL, _IPOL_CORRECTED)
    ),
    Layout("DRUNet", "drunet", _DRUNET, _DRUNET, drunet),
    Layout("NAFNet", "nafnet", _NAFNET, frozenset({"intro.weight", "ending.weight", "ups.#.#.weight"}), nafnet),
)
