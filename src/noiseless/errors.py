"""Every error noiseless raises on purpose.

NoiselessError                 one clear line: what, got, expected, fix
├── InputError                 something given to noiseless is not usable (exit code 2)
│   ├── ImageError             an image file or array: missing, truncated, not an image, unsupported
│   │   └── TooManyPixelsError  a file that claims more pixels than allowed
│   ├── ValueRangeError        float values far outside [0, 1] and no data_range given
│   ├── DataError              a folder or data set: empty, unpaired, sizes that differ
│   ├── SpecError              a noise or loss expression that does not parse
│   ├── UnknownNameError       a name that is in no table; names the closest
│   ├── ConfigError            a recipe or --set key or value that does not fit
│   ├── BundleError            a model bundle or checkpoint that cannot be used
│   └── SigmaError             a conditioned network without a noise level
├── MissingExtraError          an optional package is needed; says what to install (exit code 2)
└── WorkError                  the input was fine, the work failed (exit code 1)
    ├── OutputError            an output cannot be written: full disk, no permission
    ├── MemoryLimitError       the work does not fit into the memory allowed
    ├── DivergedError          a training loss that is no longer finite
    └── Cancelled              the caller asked to stop
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager


class NoiselessError(Exception):
    """Base of all errors of noiseless; `str(error)` is one line made of the parts given.

    Args:
        what: what went wrong, with the path or name concerned.
        got: what was found.
        expected: what would have been right.
        fix: what to do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, got: object = None, expected: object = None, fix: str | None = None) -> None:
        self.what, self.got, self.expected, self.fix = what, got, expected, fix
        parts = [what]
        if got is not None:
            parts.append(f"got {got}")
        if expected is not None:
            parts.append(f"expected {expected}")
        line = ": ".join((parts[0], ", ".join(parts[1:]))) if parts[1:] else what
        super().__init__(" ".join((f"{line}. {fix}" if fix else line).split()))


class InputError(NoiselessError):
    """Something given to noiseless is not usable."""

    exit_code = 2


class ImageError(InputError):
    """An image file or array is missing, truncated, not an image or of an unsupported kind."""


class TooManyPixelsError(ImageError):
    """An image file claims more pixels than allowed.

    Args:
        what: as of `NoiselessError`, and so are the others.
        pixels: how many it claims.
    """

    def __init__(
        self, what: str, *, pixels: int = 0, got: object = None, expected: object = None, fix: str | None = None
    ) -> None:
        super().__init__(what, got=got, expected=expected, fix=fix)
        self.pixels = pixels


class ValueRangeError(InputError):
    """Float values lie far outside [0, 1] and no data range was given."""


class DataError(InputError):
    """A folder or data set is empty, unpaired, or holds sizes that differ."""


class SpecError(InputError):
    """A noise or loss expression does not parse."""


class ConfigError(InputError):
    """A recipe or `--set` key or value does not fit."""


class BundleError(InputError):
    """A model bundle or checkpoint cannot be used."""


class SigmaError(InputError):
    """A conditioned network was given no noise level and none could be estimated."""


class UnknownNameError(InputError):
    """A name is in no table.

    Args:
        kind: what the table holds, for example ``"network"``.
        name: the name that was asked for.
        known: the names there are.
        alike: how alike names are that may have been meant, 0 to 1; where none is, all are listed.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, alike: float = 0.5) -> None:
        import difflib

        names = sorted(set(known))
        last = {known_name.rpartition(".")[2]: known_name for known_name in names}
        close = difflib.get_close_matches(name, names, n=3, cutoff=alike) or [
            last[match] for match in difflib.get_close_matches(name.rpartition(".")[2], last, n=3, cutoff=alike)
        ]
        fix = f"Did you mean {' or '.join(close)}?" if close else f"Known: {', '.join(names)}."
        super().__init__(f"unknown {kind} {name!r}", fix=fix)
        self.kind, self.name, self.known = kind, name, names


class MissingExtraError(NoiselessError):
    """An optional package is needed.

    Args:
        purpose: what needs it, for example ``"the bm3d baseline"``.
        extra: the extra of noiseless that brings it.
    """

    exit_code = 2

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an optional package", fix=f'Run: pip install "noiseless[{extra}]"')
        self.extra = extra


EXTRAS = {
    "torch": "train",
    "spandrel": "foreign",
    "lightning_fabric": "train",
    "onnx": "train",
    "onnxscript": "train",
    "tensorboard": "train",
    "matplotlib": "train",
    "openvino": "openvino",
    "bm3d": "baselines",
    "skimage": "baselines",
    "pywt": "baselines",
    "cv2": "baselines",
    "wandb": "wandb",
    "optuna": "tune",
    "huggingface_hub": "hub",
    "fastapi": "serve",
    "uvicorn": "serve",
    "python_multipart": "serve",
    "prometheus_client": "serve",
    "pydicom": "medical",
    "nibabel": "medical",
    "zarr": "microscopy",
    "rasterio": "geo",
    "rawpy": "raw",
    "OpenEXR": "exr",
    "pillow_heif": "heif",
    "av": "video",
}
"""Each optional package, as it is imported, and the extra of noiseless that brings it."""


def missing_extra(purpose: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error that says what to install, if what could not be imported is an optional package.

    Args:
        purpose: what needs it, for example ``"noiseless.train"``.
        error: of the import that failed.
    """
    extra = EXTRAS.get((error.name or "").partition(".")[0])
    return MissingExtraError(purpose, extra) if extra else None


@contextmanager
def noting(failures: dict[str, InputError], name: str) -> Iterator[None]:
    """What is wrong with one of many is kept beside its name, and work goes on with the others.

    Args:
        failures: what is kept.
        name: of the one in hand.
    """
    try:
        yield
    except InputError as error:
        failures[name] = error


def check_some(count: int, failures: Mapping[str, InputError]) -> None:
    """See that something could be done with at least one of many images.

    Args:
        count: of those with which it could.
        failures: what is wrong with the others, as of `noting`.

    Raises:
        InputError: what is wrong with the only one.
        DataError: nothing could be done with any of several.
    """
    if count or not failures:
        return
    name, error = next(iter(failures.items()))
    if len(failures) == 1:
        raise error
    got = str(error) if name in str(error) else f"{name}: {error}"
    raise DataError(f"nothing can be said of any of the {len(failures)} images", got=got)


class WorkError(NoiselessError):
    """The input was fine, the work failed."""


class OutputError(WorkError):
    """An output cannot be written."""


class MemoryLimitError(WorkError):
    """The work does not fit into the memory allowed."""


class DivergedError(WorkError):
    """A training loss is no longer finite."""


class Cancelled(WorkError):
    """The caller asked to stop."""
