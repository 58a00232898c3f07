"""noiseless models: list the models and networks there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from noiseless import bundle

if TYPE_CHECKING:
    from noiseless.bundle import Bundle


def models(
    networks: Annotated[
        bool, typer.Option("--networks", help="Networks instead, with what they cost (needs PyTorch).")
    ] = False,
) -> None:
    """List the models and networks there are."""
    print("\n".join(network_lines() if networks else model_lines()))


def model_lines() -> list[str]:
    """A table of the shipped models."""
    found = [bundle.read(path) for path in bundle.shipped().values()]
    if not found:
        return ["No model comes with this installation."]
    rows = [("model", "channels", "network", "noise level", "trained for", "MB")]
    return aligned([*rows, *(_model_row(each) for each in found)])


def network_lines() -> list[str]:
    """A table of the networks as they are built without arguments, for colour images."""
    from noiseless.networks import NETWORKS, create, spec_of
    from noiseless.networks.spec import multiply_adds, parameters

    rows = [("network", "parameters", "multiply-adds", "halo", "noise level")]
    for name in NETWORKS:
        network = create(name)
        spec = spec_of(network)
        halo = "whole image" if spec.halo is None else str(spec.halo)
        cost = f"{multiply_adds(network) / 1e9:.2f} G"
        rows.append((name, f"{parameters(network):,}", cost, halo, _told(spec.conditioning)))
    return [*aligned(rows), "", "Multiply-adds are those of a 256x256 colour image; halo in pixels."]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of columns; the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [rows[-1][index].replace(",", "")[:1].isdigit() for index in range(len(widths))]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _model_row(found: Bundle) -> tuple[str, ...]:
    megabytes = found.weights_path.stat().st_size / 1e6
    noise = "pairs of images"
    if found.noise is not None:
        from noiseless.noise import Noise

        noise = Noise.from_dict(found.noise).spec
    told = _told(found.spec.conditioning)
    return found.name, str(found.spec.channels), found.network, told, noise, f"{megabytes:.1f}"


def _told(conditioning: str) -> str:
    return "told or estimated" if conditioning == "sigma" else "finds it itself"
