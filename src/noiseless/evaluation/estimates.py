"""What is estimated of models without clean images: for each image, and for all of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from noiseless.errors import InputError
from noiseless.evaluation.residual import Audit
from noiseless.io.atomic import write_text

BEST, WORST = 1e-10, 1.0
"""Mean squared errors that are told apart: below the first, 100 dB, nothing is; above the second no image is."""

HIGHEST = -10 * math.log10(BEST)


@dataclass(frozen=True)
class Estimate:
    """What is estimated of one model on one image.

    Attributes:
        name: of the image.
        noise: the noise model that was used, as text; empty for two exposures.
        noisy: PSNR of the noisy image, in dB.
        psnr: of the restored one; 100 where its error is not told from none.
        low: lower end of the 95% interval of `psnr`, the doubt about the noise level included.
        high: upper end; 100 where there is none.
        audit: of what was removed; of two exposures, from the first.
    """

    name: str
    noise: str
    noisy: float
    psnr: float
    low: float
    high: float
    audit: Audit

    def __str__(self) -> str:
        return shown(self.psnr, self.low, self.high)


@dataclass(frozen=True)
class Estimates:
    """What is estimated of several models on the same images.

    Attributes:
        protocol: how, as plain data.
        models: name to an estimate for each image.
        left_out: name of an image of which nothing can be said, to the error that says why.
    """

    protocol: Mapping[str, Any]
    models: Mapping[str, tuple[Estimate, ...]]
    left_out: Mapping[str, InputError] = field(default_factory=dict)

    def mean(self, model: str) -> tuple[float, float, float]:
        """Mean over images of the PSNR of a model and of the ends of its interval.

        The ends are not drawn closer by many images: what is wrong with the noise level is wrong in all of them.
        """
        found = self.models[model]
        psnr, low, high = (float(np.mean([getattr(each, end) for each in found])) for end in ("psnr", "low", "high"))
        return (
            (HIGHEST if any(each.psnr >= HIGHEST for each in found) else psnr),
            low,
            (HIGHEST if any(each.high >= HIGHEST for each in found) else high),
        )

    @property
    def count(self) -> int:
        """How many images were measured."""
        return len(next(iter(self.models.values())))

    def rows(self) -> list[list[str]]:
        """The table of all images as text, and the means over images."""
        columns = list(self.models.values())
        body = [[each[0].name, f"{each[0].noisy:.2f}", *map(str, each)] for each in zip(*columns, strict=True)]
        if len(columns[0]) > 1:
            noisy = np.mean([each.noisy for each in columns[0]])
            body.append(["mean (over images)", f"{noisy:.2f}", *(shown(*self.mean(model)) for model in self.models)])
        return [["estimated PSNR, dB", "noisy", *self.models], *body]

    def verdicts(self) -> list[str]:
        """A line for each image and model: what was removed, noise or structure."""
        return [
            f"{found[number].name}, {model}: {found[number].audit}"
            for number in range(self.count)
            for model, found in self.models.items()
        ]

    def lines(self) -> list[str]:
        """How the numbers were made, and what they are not."""
        found = list(dict.fromkeys(each.noise for each in next(iter(self.models.values())) if each.noise))
        open_ended = any(each.high >= HIGHEST for model in self.models.values() for each in model)
        some = "; ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        level = "measured" if self.protocol["noise"] == "auto" else "given"
        how = (
            f"by Stein's formula, seed {self.protocol['seed']}; noise {level}: {some}"
            if found
            else "from pairs of noisy images of one scene, each the target of the other"
        )
        return [
            f"estimated without clean images, {how}",
            "in brackets the 95% interval, with the doubt about the noise; restored images are clipped to [0, 1]",
            *([f"{len(self.left_out)} images are left out: nothing can be said of them"] if self.left_out else []),
            *(
                ["or more: the noise is not known well enough for an upper end; give it, or two exposures"]
                if open_ended
                else []
            ),
        ]

    def to_json(self, path: str | Path) -> None:
        """Write the numbers for machines, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        results = []
        for model, found in self.models.items():
            estimated = dict(zip(("mean", "low", "high"), self.mean(model), strict=True))
            images = [asdict(each) | {"audit": each.audit.to_dict()} for each in found]
            results.append({"model": model, "estimated_psnr": estimated, "images": images})
        left_out = {name: str(error) for name, error in self.left_out.items()}
        plain = {"protocol": dict(self.protocol), "results": results, "left_out": left_out}
        write_text(path, json.dumps(plain, indent=1) + "\n")


def decibels(error: float) -> float:
    """A mean squared error in [0, 1] units as PSNR in dB, from 0 to 100."""
    return -10 * math.log10(min(max(error, BEST), WORST))


def shown(psnr: float, low: float, high: float) -> str:
    """An estimate with its interval as text, in dB: ``31.20 (30.80 to 31.60)``."""
    if psnr >= HIGHEST:
        return f"{low:.2f} or more"
    return f"{psnr:.2f} ({low:.2f} or more)" if high >= HIGHEST else f"{psnr:.2f} ({low:.2f} to {high:.2f})"
