"""Adapter files: what fine-tuning changed, kept beside the model that it changed.

An adapter is a safetensors file. For a weight that an update was learned for it holds the two factors,
``NAME.up`` and ``NAME.down``; for one that a prompt modulates, ``PROMPT/NAME.rows`` and ``PROMPT/NAME.columns``; for a
weight that was trained itself, ``NAME``: the new value less the old one. Its metadata say how the change was learned
and, by the hash of the weights, of which model. So a change is always something added to a weight, or something it is
multiplied with: it can be scaled, made, and taken away again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from noiseless import networks
from noiseless.denoiser import DEFAULT_CONTROLS, Controls, Denoiser
from noiseless.errors import BundleError, ConfigError, UnknownNameError
from noiseless.finetuning.base import Base, find_base
from noiseless.finetuning.files import FORMAT, find_adapter
from noiseless.finetuning.layers import plain_name
from noiseless.finetuning.lowrank import Change, merged, update
from noiseless.finetuning.prompt import factors
from noiseless.io.atomic import replacing
from noiseless.networks import spec_of
from noiseless.runtime import choose
from noiseless.runtime.torch import TorchEngine
from noiseless.training.start import starting_weights

ENDINGS = (".up", ".down", ".rows", ".columns")

NAMES = ("method", "base", "base_sha256", "network")
PLAIN = ("settings", "arguments", "noise", "prompts", "told", "unclips")
"""Attributes of an `Adapter` in its file's metadata: texts, and others as JSON."""


@dataclass(frozen=True)
class Adapter:
    """A change of a model's weights.

    Attributes:
        method: that learned it, a key of `METHODS`.
        settings: of the method; plain data.
        base: the model it changes, as it was named.
        base_sha256: of the file of that model's weights.
        network: key of the network table.
        arguments: constructor arguments of the changed network.
        noise: the noise it was trained for, as `Noise.to_dict` writes it, where known.
        tensors: factors and differences by name, float32; those of prompts after the prompt's name and a slash.
        prompts: by name ``noise``, ``told`` and ``unclips`` of each, as here; empty for other methods.
        told: the noise that ``noise="auto"`` tells the changed model, as of `noiseless.bundle.Bundle`.
        unclips: whether the changed model undoes clipping, as of `noiseless.bundle.Bundle`.
    """

    method: str
    settings: Mapping[str, Any]
    base: str
    base_sha256: str
    network: str
    arguments: Mapping[str, Any]
    noise: Mapping[str, Any] | None
    tensors: Mapping[str, Tensor]
    prompts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    told: str | None = None
    unclips: bool = False

    def choose(self, prompt: str | None) -> Adapter:
        """The adapter of one of its prompts: the one that is named, or the only one.

        Raises:
            UnknownNameError: no prompt of this name.
            ConfigError: several prompts and none named, or a prompt named where there are none.
        """
        if not self.prompts:
            if prompt is not None:
                raise ConfigError("this adapter has no prompts to choose from", got=prompt, fix="Leave out --prompt.")
            return self
        if prompt is None and len(self.prompts) > 1:
            raise ConfigError(
                "the adapter has several prompts", got=", ".join(self.prompts), fix="Choose: --prompt NAME"
            )
        name = next(iter(self.prompts)) if prompt is None else prompt
        if name not in self.prompts:
            raise UnknownNameError("prompt", name, self.prompts)
        head = f"{name}/"
        own = {key.removeprefix(head): tensor for key, tensor in self.tensors.items() if key.startswith(head)}
        return replace(self, tensors=own, prompts={}, **self.prompts[name])

    def change(self, name: str, weight: Tensor) -> Tensor | None:
        """What is added to a weight, in its shape; ``None`` where it stays."""
        if name in self.tensors:
            return self.tensors[name]
        up, down = (self.tensors.get(f"{name}.{ending}") for ending in ("up", "down"))
        if up is None or down is None:
            return None
        return update(weight, up, down, self.method, float(self.settings.get("scale", 1.0)))

    def factor(self, name: str) -> Tensor | None:
        """What a weight is multiplied with, broadcastable to its shape; ``None`` where it is not modulated."""
        rows, columns = (self.tensors.get(f"{name}.{ending}") for ending in ("rows", "columns"))
        return None if rows is None or columns is None else factors(rows, columns)


def merge(state: Mapping[str, Tensor], adapter: Adapter, strength: float = 1.0) -> dict[str, Tensor]:
    """Weights with an adapter's change added.

    Args:
        state: weights by name; not changed.
        adapter: what to add.
        strength: 0 gives the same weights bit for bit, 1 the whole change.

    Raises:
        BundleError: the adapter changes weights that are not there, or of another shape.
    """
    names = {_changed(name) for name in adapter.tensors}
    unknown = sorted(names - {*state})
    if unknown:
        raise BundleError("the adapter does not fit the network", got=f"a change of {unknown[0]}")
    return {name: _added(adapter, name, weight, strength) for name, weight in state.items()}


def unmerge(state: Mapping[str, Tensor], adapter: Adapter, strength: float = 1.0) -> dict[str, Tensor]:
    """Weights with an adapter's change taken away again; exact to float rounding. See `merge`."""
    return merge(state, adapter, -strength)


def _changed(name: str) -> str:
    """The weight that a tensor of an adapter changes."""
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def _added(adapter: Adapter, name: str, weight: Tensor, strength: float) -> Tensor:
    if not strength:
        return weight.clone()
    try:
        factor, change = adapter.factor(name), adapter.change(name, weight)
        if factor is not None:
            part = 1 + abs(strength) * (factor - 1)
            return weight * part if strength > 0 else weight / part
        if change is None:
            return weight.clone()
        if change.shape != weight.shape:
            raise BundleError(f"the adapter's change of {name} does not fit", got=tuple(change.shape))
        return weight + strength * change
    except RuntimeError as error:
        raise BundleError(f"the adapter's change of {name} does not fit", got=str(error)) from error


def extract(network: nn.Module, before: Mapping[str, Tensor], share: float = 1.0) -> dict[str, Tensor]:
    """The tensors of an adapter: the updates of a trained network, and what else in it differs from `before`.

    Args:
        network: as the method left it, trained.
        before: weights of the plain network before, by name.
        share: of the change that is taken; other than 1 for updates and differences alone.
    """
    tensors = {
        f"{plain_name(name)}.{ending}": tensor.detach().cpu() * (share if ending == "up" else 1)
        for name, layer in network.named_modules()
        if isinstance(layer, Change)
        for ending, tensor in layer.stored().items()
    }
    changed = {_changed(name) for name in tensors}
    for name, tensor in merged(network).state_dict().items():
        old, new = before[name].cpu(), tensor.cpu()
        if name not in changed and new.is_floating_point() and not torch.equal(old, new):
            tensors[name] = share * (new - old)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def write_adapter(path: Path, adapter: Adapter) -> None:
    """Write an adapter file, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    facts = {key: getattr(adapter, key) for key in NAMES} | {key: json.dumps(getattr(adapter, key)) for key in PLAIN}
    with replacing(path) as file:
        file.write(save(dict(adapter.tensors), {"format": FORMAT, **facts}))


def read_adapter(path: str | Path) -> Adapter:
    """Read an adapter file, or the one of a run folder.

    Raises:
        BundleError: it is missing, truncated, or no adapter.
    """
    file, facts = find_adapter(path)
    try:
        with safe_open(file, "pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
        plain = {key: json.loads(facts[key]) for key in PLAIN}
        named: dict[str, Any] = {key: facts[key] for key in NAMES}
        return Adapter(**plain, **named, tensors=tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BundleError(f"{file} is not a whole adapter", got=str(error)) from error


def load_adapter(
    path: str | Path,
    model: str | Path | None = None,
    *,
    strength: float = 1.0,
    prompt: str | None = None,
    precision: str = "exact",
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    controls: Controls = DEFAULT_CONTROLS,
) -> Denoiser:
    """A model with an adapter, run by torch.

    Args:
        path: the adapter file, or the run folder that holds one.
        model: the model it was made for; the one that the adapter names where ``None``.
        strength: 0 gives the model as it was, bit for bit, 1 the whole change, and between them a part of it.
        prompt: which of its prompts, where it has several.
        precision: ``exact`` or ``fast``, as of `noiseless.load`, and so are the others.
        engine: ``auto`` or ``torch``.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: to compute with.
        controls: tiles, memory and the like.

    Raises:
        BundleError: no adapter, or one for another model (told by the hash of the weights).
        ConfigError: a strength outside 0 to 1, another engine, or no prompt chosen where there are several.
        UnknownNameError: no prompt of this name.
    """
    if engine not in ("auto", "torch"):
        raise ConfigError("only torch runs a model with an adapter", got=f"engine={engine}")
    if not 0 <= strength <= 1:
        raise ConfigError("the strength of an adapter does not fit", got=strength, expected="0 to 1")
    adapter = read_adapter(path).choose(prompt)
    base = find_base(adapter.base if model is None else model)
    check_base(adapter, base, path)
    network = _adapted(base, adapter, strength)
    bundle = replace(base.bundle, spec=spec_of(network))
    if strength:
        bundle = replace(
            bundle,
            name=f"{bundle.name}+{adapter.method}",
            arguments=dict(adapter.arguments),
            noise=adapter.noise,
            told=adapter.told,
            ceiling=None,
            unclips=adapter.unclips,
        )
    choice = choose(bundle, engine="torch", precision=precision, device=device)
    runner = TorchEngine.of(
        network, bytes_per_pixel=bundle.bytes_per_pixel, precision=choice.precision, device=device, threads=threads
    )
    runner.note = choice.note
    return Denoiser(bundle, runner, controls)


def check_base(adapter: Adapter, base: Base, path: str | Path) -> None:
    """See that an adapter, read from `path`, was made for a model.

    Raises:
        BundleError: it was not, by the hash of the weights.
    """
    if base.sha256 != adapter.base_sha256:
        raise BundleError(
            f"the adapter {path} was made for another model than {base.model}",
            got=f"weights {base.sha256[:12]}",
            expected=f"{adapter.base_sha256[:12]}, those of {adapter.base}",
        )


def _adapted(base: Base, adapter: Adapter, strength: float) -> nn.Module:
    if not strength:
        return base.network()
    network = networks.create(adapter.network, **adapter.arguments)
    network.load_state_dict(merge(starting_weights(base.model, network), adapter, strength))
    return network
