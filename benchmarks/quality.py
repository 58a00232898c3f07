"""Models against the field's test sets: mean PSNR of each model on each set and noise level, as a Markdown table.

Grey models run on Set12 and BSD68, and on each channel of colour images; colour models on CBSD68. PolyU holds real
camera noise: 8 bits in and out, and the models estimate the level themselves. Published figures stand below for
comparison. The protocol is theirs: float input, neither clipped nor quantised, result clipped to [0, 1], no border,
mean of per-image values. The sets are not part of the project: NOISELESS_DATA names the folder whose benchmark/ holds
them.

Run: python benchmarks/quality.py gray-small bm3d --sets set12 bsd68_gray
     python benchmarks/quality.py color-small --sets cbsd68 polyu100 --limit 20
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from noiseless.errors import ImageError, NoiselessError
from noiseless.evaluation import Report, evaluate

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PAIRS = {"polyu100": ("*_real.*", "*_mean.*")}
"""Sets of real noise: globs of their noisy and clean sides; all others hold clean images."""

PUBLISHED = {
    "set12": {
        "BM3D": (32.37, 29.97, 26.72),
        "DnCNN-S": (32.86, 30.44, 27.18),
        "FFDNet": (32.75, 30.43, 27.32),
        "DRUNet": (33.25, 30.94, 27.90),
    },
    "bsd68_gray": {
        "BM3D": (31.07, 28.57, 25.62),
        "DnCNN-S": (31.73, 29.23, 26.23),
        "FFDNet": (31.63, 29.19, 26.29),
        "DRUNet": (31.91, 29.48, 26.59),
    },
    "cbsd68": {
        "CBM3D": (33.52, 30.71, 27.38),
        "FFDNet": (33.87, 31.21, 27.96),
        "DRUNet": (34.30, 31.69, 28.51),
        "Restormer": (34.40, 31.79, 28.60),
    },
}
"""PSNR in dB at sigma 15, 25 and 50, from the papers."""

PUBLISHED_SIGMAS = (15.0, 25.0, 50.0)


def columns(sets: list[str], sigmas: list[float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A title for each column of the table, and what `evaluate` measures on."""
    for name in sets:
        folder = DATA / "benchmark" / name
        if not folder.is_dir():
            raise SystemExit(f"{folder} is not there: set NOISELESS_DATA to the folder that holds benchmark/{name}")
        if name in PAIRS:
            noisy, clean = (str(folder / side) for side in PAIRS[name])
            yield name, {"pairs": (noisy, clean)}
            continue
        for sigma in sigmas:
            yield f"{name} {sigma:g}", {"clean": folder, "noise": f"gaussian:{sigma:g}"}


def measured(model: str, options: dict[str, Any]) -> Report | None:
    """The report of one model on one set, or None where the set has channels that it does not take."""
    try:
        return evaluate(model, metrics=("psnr",), **options)
    except ImageError as error:
        print(f"{model}: {error}", file=sys.stderr)
        return None


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]]
    return "\n".join(lines)


def published(sets: list[str], sigmas: list[float]) -> list[list[str]]:
    """Rows of figures from the papers, in the columns of the measured ones."""
    methods = dict.fromkeys(method for name in sets for method in PUBLISHED.get(name, {}))
    rows = []
    for method in methods:
        cells = []
        for name in sets:
            values = dict(zip(PUBLISHED_SIGMAS, PUBLISHED.get(name, {}).get(method, ()), strict=False))
            wanted: list[float] = [0] if name in PAIRS else sigmas
            cells += [f"{values[sigma]:.2f}" if sigma in values else "" for sigma in wanted]
        if any(cells):
            rows.append([f"{method} (published)", *cells])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="shipped models, run folders, checkpoints or baselines")
    parser.add_argument("--sets", nargs="+", default=["set12", "bsd68_gray", "cbsd68"])
    parser.add_argument("--sigmas", nargs="+", type=float, default=[15, 25, 50])
    parser.add_argument("--limit", type=int, help="the first images of each set only, as many as this")
    options = parser.parse_args()
    plan = list(columns(options.sets, options.sigmas))
    rows, protocols = [], {}
    for model in options.models:
        cells = []
        for title, where in plan:
            print(f"{model} on {title} ...", file=sys.stderr, flush=True)
            report = measured(model, {**where, "limit": options.limit})
            cells.append("" if report is None else f"{report.results[0].interval('psnr').mean:.2f}")
            if report is not None:
                protocols[title] = "; ".join(report.lines())
        rows.append([Path(model).name, *cells])
    print(table(["PSNR dB", *(title for title, _ in plan)], [*rows, *published(options.sets, options.sigmas)]))
    print("\n" + "\n".join(f"- {title}: {protocol}" for title, protocol in protocols.items()))


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
