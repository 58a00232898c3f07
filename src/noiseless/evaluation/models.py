"""What is measured: anything that is called like a `Denoiser`, found by its name or given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from noiseless import baselines, bundle
from noiseless.asked import model_path
from noiseless.denoiser import find, load
from noiseless.errors import ConfigError, UnknownNameError


class Model(Protocol):
    """A `Denoiser`, or anything with its name and call."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def __call__(
        self, array: Any, *, noise: Any = "auto", channel_axis: int | None = None, data_range: Any = None
    ) -> Any:
        """Denoise an array; see `noiseless.Denoiser`."""
        ...


@dataclass(frozen=True)
class Named:
    """A model under the name that a report gives it: two runs may hold models of one name."""

    model: Model
    name: str

    def __call__(self, array: Any, **options: Any) -> Any:
        """What the model does."""
        return self.model(array, **options)


def resolve(models: Sequence[str | Path | Model] | str | Path | Model) -> list[Named]:
    """Load models, and give each a name of its own.

    Args:
        models: names or paths for `noiseless.load`, names of baselines, or denoisers. A path is called by its last
            part, or by as many of its last parts as tell it from the others.

    Raises:
        ConfigError: no model, or two with the same name.
        UnknownNameError: neither a model, a baseline nor a path.
        BundleError, MissingExtraError: a model or baseline that cannot be used.
    """
    several = models if isinstance(models, Sequence) and not isinstance(models, str) else [models]
    if not several:
        raise ConfigError("no model to measure", expected="names of models or baselines, or paths")
    names = _names(several)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigError("two models have the same name", got=", ".join(repeated), fix="Name each once.")
    return [Named(_loaded(model), name) for model, name in zip(several, names, strict=True)]


def check(models: Sequence[str]) -> None:
    """See that models are there, before any image is looked for.

    Raises:
        UnknownNameError: neither a model, a baseline nor a path.
        BundleError: a path that is not there.
    """
    for model in models:
        if model not in baselines.BASELINES:
            with _naming_baselines_too(model):
                find(model)


def _loaded(model: str | Path | Model) -> Model:
    if not isinstance(model, str | Path):
        return model
    if str(model) in baselines.BASELINES:
        baseline: Model = baselines.load(str(model))
        return baseline
    with _naming_baselines_too(str(model)):
        return load(model)


@contextmanager
def _naming_baselines_too(model: str) -> Iterator[None]:
    try:
        yield
    except UnknownNameError as error:
        raise UnknownNameError("model", model, {*bundle.shipped(), *baselines.BASELINES}) from error


def _names(models: Sequence[str | Path | Model]) -> list[str]:
    texts = [model.name if hasattr(model, "name") and callable(model) else str(model_path(model)) for model in models]
    paths = [Path(text).parts or (text,) for text in texts]
    names = [parts[-1] for parts in paths]
    for depth in range(2, max(map(len, paths)) + 1):
        again = {name for name in names if names.count(name) > 1}
        names = ["/".join(p[-depth:]) if name in again else name for p, name in zip(paths, names, strict=True)]
    return names
