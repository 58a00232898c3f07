"""The model that fine-tuning starts from, and that an adapter belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from noiseless import bundle as bundles
from noiseless import networks
from noiseless.bundle import Bundle
from noiseless.denoiser import find
from noiseless.finetuning.config import FinetuningConfig
from noiseless.runtime.torch import load_foreign, load_network


@dataclass(frozen=True)
class Base:
    """A trained model.

    Attributes:
        model: the name or path that it was asked for by.
        bundle: what it is.
        sha256: of the file of its weights.
    """

    model: str
    bundle: Bundle
    sha256: str

    @property
    def file(self) -> Path:
        """The file of its weights."""
        return self.bundle.path if self.bundle.path.is_file() else self.bundle.weights_path

    def network(self) -> nn.Module:
        """Its network with its weights, float32."""
        return load_foreign(self.file)[1] if self.bundle.path.is_file() else load_network(self.bundle).float()


def find_base(model: str | Path) -> Base:
    """A model by name or path, as `noiseless.load` takes it.

    Raises:
        UnknownNameError: neither a shipped model nor a path; names the closest.
        BundleError: it cannot be used.
    """
    path = find(model)
    bundle = load_foreign(path)[0] if path.is_file() else bundles.read(path)
    weights = path if path.is_file() else bundle.weights_path
    return Base(str(model), bundle, hashlib.sha256(weights.read_bytes()).hexdigest())


def start_from(base: Base, config: FinetuningConfig) -> FinetuningConfig:
    """The settings with the network of a model and its weights to start from.

    Arguments that the settings name, such as other channels, hold; all others are those of the model.
    """
    given: dict[str, Any] = {"channels": base.bundle.spec.channels, "conditioning": base.bundle.spec.conditioning}
    known = networks.accepted_arguments(networks.constructor(base.bundle.network))
    arguments = {key: value for key, value in given.items() if key in known}
    arguments |= {**base.bundle.arguments, **config.arguments}
    return replace(config, network=base.bundle.network, arguments=arguments, start=base.model)
