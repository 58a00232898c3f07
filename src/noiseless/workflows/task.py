"""What to do with files, and what became of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noiseless.errors import ConfigError
from noiseless.image import DataRange
from noiseless.workflows.files import Failure

if TYPE_CHECKING:
    from noiseless.noise import Noise

Say = Callable[[str], None]
Report = Callable[[float, str], None]
"""Told the share of all files that is done, 0 to 1, and the name of the file in hand."""

Progress = Callable[[float], None]
Cancel = Callable[[], bool]

MOST_FRAMES = 8
"""Of a film, before and after each frame, that it may be averaged with."""


@dataclass(frozen=True)
class Task:
    """What to do with each file.

    Attributes:
        model: as `noiseless.load` takes it, or ``"auto"``.
        noise: ``"auto"``, a noise model or its text.
        strength: 0 to 1.
        mask: image of where to denoise: white there, black elsewhere.
        feather: pixels over which the edge of a black and white mask fades, inwards.
        sigma_map: image of standard deviations, in [0, 1] units, instead of `noise`.
        data_range: of the images; by their files where ``None``.
        options: of `noiseless.load`: precision, engine, device, threads, controls.
        skip_existing: leave out images whose result is there.
        temporal: frames before and after each frame of a film that it is averaged with first; 0 for none.
        adapter: file of what fine-tuning changed; the model is then the one it names, or `model`.
        adapter_strength: 0 to 1, how much of that change is taken.

    Raises:
        ConfigError: a number that is out of its range: told once, and not for every file.
    """

    model: str = "auto"
    noise: str | Noise = "auto"
    strength: float = 1.0
    mask: Path | None = None
    feather: float = 8.0
    sigma_map: Path | None = None
    data_range: DataRange | None = None
    options: dict[str, Any] = field(default_factory=dict)
    skip_existing: bool = False
    temporal: int = 2
    adapter: str | None = None
    adapter_strength: float = 1.0

    def __post_init__(self) -> None:
        for what, value, most in (
            ("strength", self.strength, 1),
            ("adapter strength", self.adapter_strength, 1),
            ("temporal", self.temporal, MOST_FRAMES),
            ("feather", self.feather, math.inf),
        ):
            if not 0 <= value <= most:
                expected = f"0 to {most}" if math.isfinite(most) else "0 or more"
                raise ConfigError(f"{what} does not fit", got=value, expected=expected)

    def check(self) -> None:
        """See that the model, the device and the files it names are there, before any image is read.

        Raises:
            ConfigError: a device that this machine has not.
            UnknownNameError: no shipped model of this name.
            BundleError: a model or an adapter that is not there.
            ImageError: a mask or a map that is not there.
        """
        from noiseless.denoiser import find
        from noiseless.io.finding import check_there

        if self.model != "auto":
            find(self.model)
        if self.adapter is not None:
            from noiseless.finetuning.files import find_adapter

            find_adapter(self.adapter)
        for path in (self.mask, self.sigma_map):
            if path is not None:
                check_there(path)
        if self.options.get("device", "auto") not in ("auto", "cpu"):
            from noiseless.runtime.torch import find_device

            find_device(self.options["device"])


@dataclass
class Result:
    """What became of one file."""

    input: str
    output: str
    model: str = ""
    precision: str = ""
    sigma: list[float] | None = None
    seconds: float = 0.0
    skipped: bool = False


@dataclass
class Summary:
    """What became of all files.

    Attributes:
        results: of the files that were done or skipped.
        failures: the others.
        interrupted: Ctrl-C or SIGTERM came before all were done.
        terminated: it was SIGTERM.
    """

    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False
    terminated: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "results": [vars(result) for result in self.results],
            "failures": [{"input": failure.name, "error": str(failure.error)} for failure in self.failures],
            "interrupted": self.interrupted,
        }
