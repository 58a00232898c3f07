"""Checkpoints of other projects: read without running anything in them, and recognised by the names of their tensors.

`recognise` finds which layout of `noiseless.networks.layouts` a state dict has, works out the arguments of our network
from the shapes of its tensors, and gives the tensors the names that our network has for them.
"""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noiseless.errors import BundleError, ConfigError
from noiseless.networks import create, through_spandrel
from noiseless.networks.classifiers import is_classifier
from noiseless.networks.layouts import LAYOUTS, Layout, State

WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which projects keep the state dict, the averaged weights first."""

PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")
"""What wrappers of modules put before every name."""

MOST_LISTED = 4
MORE = 'The library spandrel knows many more; in an environment of its own run: pip install "noiseless[foreign]"'
_CODE = re.compile(r"GLOBAL (\S+)")
_SAVED = (b"PK", b"\x80")
"""What files of `torch.save` begin with: a zip, or in its old form a pickle."""


def read_checkpoint(path: str | Path) -> Any:
    """What a checkpoint file holds: tensors and plain data, never code.

    Args:
        path: a ``.safetensors`` file, or one that `torch.save` wrote.

    Raises:
        BundleError: no such file, not a whole checkpoint, or one with pickled code, of which nothing is run.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"there is no checkpoint {path}")
    with path.open("rb") as file:
        begins = file.read(8)
    if begins and path.suffix != ".safetensors" and not begins.startswith(_SAVED):
        got, expected = f"a file that begins with {begins!r}", "what torch.save or safetensors wrote"
        raise BundleError(f"{path} is no checkpoint", got=got, expected=expected)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # a Namespace is the plain data of many training scripts: attributes and nothing that runs
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of another pickle protocol: what matters of it is refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except Exception as error:  # damaged bytes make the unpickler raise whatever they happen to lead to
        raise _damaged(path) from error


def state_dict(checkpoint: Any) -> State:
    """The float32 tensors of a checkpoint by name, without what wraps them.

    Raises:
        BundleError: no tensors inside.
    """
    return _plain_names(_unwrap(checkpoint))


def recognise(checkpoint: Any) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Which network a state dict belongs to.

    Args:
        checkpoint: a state dict, also one wrapped as training scripts save it.

    Returns:
        A key of `noiseless.networks.NETWORKS`, the arguments for `noiseless.networks.create`, and the float32 tensors
        that its ``load_state_dict`` takes.

    Raises:
        BundleError: no tensors inside, no known network (names the nearest), or tensors missing or left over.
    """
    state = state_dict(checkpoint)
    layout = _find_layout(state)
    if layout is None:
        if found := through_spandrel.recognise(state):
            return found
        raise _unknown(state)
    try:
        arguments, mapped = layout.convert(state)
        with torch.device("meta"):
            wanted = create(layout.network, **arguments).state_dict()
    except (KeyError, IndexError, ConfigError) as error:
        raise _misfit(layout, f"no sense in its tensors ({error})") from error
    for name in wanted:
        if name.endswith(".num_batches_tracked"):
            mapped.setdefault(name, torch.zeros((), dtype=torch.int64))
    _check(layout, mapped, wanted)
    return layout.network, arguments, {name: mapped[name].contiguous() for name in wanted}


def _damaged(path: Path) -> BundleError:
    # what the readers say of it hangs on where it was cut, and is of their insides
    return BundleError(
        f"{path} is not a whole checkpoint",
        got=f"{path.stat().st_size:,} bytes, cut short or damaged",
        expected="what torch.save or safetensors wrote, all of it",
        fix="Fetch or copy it again.",
    )


def _refusal(path: Path, reason: str) -> BundleError:
    code = _CODE.search(reason)
    if not code and "weights_only" not in reason and "Unsupported" not in reason:
        return _damaged(path)
    return BundleError(
        f"{path} holds more than tensors and plain data and is not loaded",
        got=f"pickled code, {code[1]}" if code else "pickled code",
        fix="Nothing in it was run. Ask its author for the state dict: torch.save(network.state_dict(), path).",
    )


def _unwrap(checkpoint: Any) -> State:
    """The state dict inside a checkpoint, float32."""
    inner = checkpoint
    while not _is_state(inner):
        if isinstance(inner, list | tuple) and len(inner) == 1:
            inner = inner[0]
            continue
        found = [key for key in WRAPPERS if isinstance(inner, Mapping) and isinstance(inner.get(key), Mapping | list)]
        if not found:
            held = (
                ", ".join(map(str, list(inner)[:MOST_LISTED])) if isinstance(inner, Mapping) else type(inner).__name__
            )
            raise BundleError("a checkpoint without a state dict", got=held or "nothing", expected="names and tensors")
        inner = inner[found[0]]
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in inner.items()}


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def _plain_names(state: State) -> State:
    """The state without the prefixes that all of its names share; ``model.0`` is a layer, not a prefix."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) and not name[len(prefix) :][:1].isdigit() for name in state):
            return _plain_names({name[len(prefix) :]: tensor for name, tensor in state.items()})
    return state


def _find_layout(state: State) -> Layout | None:
    patterns = _patterns(state)
    for layout in LAYOUTS:
        if layout.required <= patterns <= layout.names and layout.fits(state):
            return layout
    if is_classifier(state):
        raise BundleError(
            "the checkpoint is of a classifier, which restores no image",
            fix="Train a decoder over it: noiseless train --network vgg (or resnet18) --set start=FILE",
        )
    return None


def _patterns(state: State) -> set[str]:
    """Names with ``#`` for every number."""
    return {re.sub(r"\d+", "#", name) for name in state}


def _unknown(state: State) -> BundleError:
    """The error for a state dict of no known network: names the nearest."""
    patterns = _patterns(state)

    def likeness(layout: Layout) -> float:
        return len(layout.names & patterns) / len(layout.names | patterns)

    nearest = max(LAYOUTS, key=likeness)
    other, missing = patterns - nearest.names, nearest.required - patterns
    differences = [f"tensors like {_list(other)}"] if other else []
    differences += [f"none like {_list(missing)}"] if missing else []
    return BundleError(
        "the checkpoint is of no known network",
        got=f"the nearest is {nearest.title}, but there are {' and '.join(differences) or 'others in number or shape'}",
        expected=f"one of {', '.join(dict.fromkeys(known.title for known in LAYOUTS))}",
        fix=None if through_spandrel.installed() else MORE,
    )


def _check(layout: Layout, mapped: State, wanted: Mapping[str, Tensor]) -> None:
    problems = {
        "missing": [name for name in wanted if name not in mapped],
        "left over": [name for name in mapped if name not in wanted],
        "of another shape": [name for name in wanted if name in mapped and mapped[name].shape != wanted[name].shape],
    }
    found = [f"{what} {_list(names)}" for what, names in problems.items() if names]
    if found:
        raise _misfit(layout, "; ".join(found))


def _misfit(layout: Layout, problem: str) -> BundleError:
    return BundleError(f"the checkpoint looks like {layout.title} and does not fit it", got=problem)


def _list(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - MOST_LISTED
    return ", ".join(ordered[:MOST_LISTED]) + (f" and {rest} more" if rest > 0 else "")
