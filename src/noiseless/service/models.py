"""The models that a service offers, each loaded once for each precision."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from noiseless import bundle as bundles
from noiseless.bundle import Bundle
from noiseless.denoiser import Denoiser, find, load
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.noise import Noise
from noiseless.runtime import choose


class Models:
    """The models that ship, and others that whoever runs the service names.

    Clients choose among these names and never reach `load` with a path of their own.

    Args:
        more: bundle or run folders to offer besides; each by the name that its config says.
        threads: to compute with.

    Raises:
        ConfigError: two models of one name, or none at all.
        BundleError: a folder that is no model.
    """

    def __init__(self, more: Sequence[str] = (), threads: int | None = None) -> None:
        found = [bundles.read(path) for path in (*bundles.shipped().values(), *map(find, more))]
        self._bundles: dict[str, Bundle] = {}
        for bundle in found:
            if bundle.name in self._bundles:
                raise ConfigError("two models have one name", got=bundle.name, fix=f"Rename {bundle.path}.")
            self._bundles[bundle.name] = bundle
        if not found:
            raise ConfigError("there is no model to serve", fix="Name one: --set models=PATH.")
        self._threads = threads
        self._loaded: dict[tuple[str, str], Denoiser] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> list[str]:
        """What clients may ask for."""
        return list(self._bundles)

    def get(self, name: str, precision: str = "exact") -> Denoiser:
        """A model, ready to use; loaded when first asked for.

        Raises:
            UnknownNameError: the service does not offer it.
        """
        if name not in self._bundles:
            raise UnknownNameError("model", name, self._bundles)
        with self._lock:
            if (name, precision) not in self._loaded:
                self._loaded[name, precision] = self._load(self._bundles[name], precision)
            return self._loaded[name, precision]

    def _load(self, bundle: Bundle, precision: str) -> Denoiser:
        """A model in the engine that is ready soonest, which stays: to measure whether another is faster would halt
        everybody for seconds, and take memory that is not given back."""
        engine = choose(bundle, precision=precision).engine
        return load(bundle.path, engine=engine, precision=precision, threads=self._threads)

    def described(self) -> list[dict[str, Any]]:
        """Plain data about each model."""
        return [_described(bundle) for bundle in self._bundles.values()]


def trained_levels(bundle: Bundle) -> tuple[float, float] | None:
    """The weakest and strongest white noise that a model was trained for, in [0, 1] units, where its bundle says."""
    noise = bundle.noise or {}
    sigma = noise.get("sigma") if noise.get("kind") == "gaussian" else None
    if isinstance(sigma, dict) and {"low", "high"} <= set(sigma):
        return float(sigma["low"]), float(sigma["high"])
    return (float(sigma), float(sigma)) if isinstance(sigma, int | float) else None


def _described(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "network": bundle.network,
        "channels": bundle.spec.channels,
        "takes_noise": bundle.spec.conditioning == "sigma",
        "trained_for": None if bundle.noise is None else Noise.from_dict(bundle.noise).spec,
        "int8": bundle.int8_graph_path.is_file(),
    }
