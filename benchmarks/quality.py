"""The shipped models against the field on its test sets, as docs/benchmark.md: PSNR, SSIM, multiply-adds, seconds.

Every method runs here, in one go, on the same noise: the shipped models, the published DnCNN and FFDNet checkpoints,
non-local means and BM3D. The last two are slow, so that they are measured on the first images of a set, beside all
others on the same images; the networks also on the whole set. Grey methods take each channel of a colour image.
PolyU holds real camera noise, from the cameras on which no recipe was chosen (Nikon and Sony): 8 bits in and out, and
each method is told what it would take by itself; FFDNet also 10, a level chosen by hand.

The protocol is the field's: float input, neither clipped nor quantised, result clipped to [0, 1], no border, mean of
per-image values. The sets and checkpoints are not part of the project: NOISELESS_DATA names their folder.

Run: python benchmarks/quality.py -o docs/benchmark.md                         about half an hour of two cores
     python benchmarks/quality.py --models color-small --sets cbsd68 --slow 0  quicker, printed

Each section is one run and is kept in --parts: a run that was stopped goes on from there, and a section is measured
anew once its file is deleted.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from noiseless import bundle
from noiseless.errors import NoiselessError
from noiseless.evaluation import Report, evaluate
from noiseless.evaluation.plot import quality_plot
from noiseless.networks import create
from noiseless.networks.foreign import read_checkpoint, recognise
from noiseless.networks.spec import multiply_adds
from noiseless.runtime.machine import processors

DATA = Path(os.environ.get("NOISELESS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SIGMAS = (15, 25, 50)
PLOTTED = ("cbsd68", 25)


@dataclass(frozen=True)
class TestSet:
    """Images to measure on.

    Attributes:
        title: for the report.
        clean: folder below benchmark/; empty where there are pairs.
        pairs: globs below benchmark/ of noisy and clean sides.
        channels: 1 for grey, 3 for colour.
        stored: what happens to the noisy images then, as an expression.
    """

    title: str
    clean: str = ""
    pairs: tuple[str, ...] = ()
    channels: int = 3
    stored: str = ""


SETS = {
    "set12": TestSet("Set12 (grey)", "set12", channels=1),
    "bsd68": TestSet("BSD68 (grey)", "bsd68_gray", channels=1),
    "cbsd68": TestSet("CBSD68 (colour)", "cbsd68"),
    "cbsd68-files": TestSet("CBSD68 (colour), noisy files of 8 bits", "cbsd68", stored="+clip+quantize:8"),
    "nikon": TestSet("PolyU, Nikon", pairs=("polyu100/Nikon*_real.*", "polyu100/Nikon*_mean.*")),
    "sony": TestSet("PolyU, Sony", pairs=("polyu100/Sony*_real.*", "polyu100/Sony*_mean.*")),
}

DNCNN = "DnCNN (0-75, blind)"

CHECKPOINTS = {
    DNCNN: {1: "buifd-dncnn/gray-dncnn-0-75.pth", 3: "buifd-dncnn/color-dncnn-0-75.pth"},
    "FFDNet": {1: "ffdnet-gpl/ffdnet_weights_gray.pth", 3: "ffdnet-gpl/ffdnet_weights_rgb.pth"},
}
"""Published weights by number of channels, below checkpoints/."""

BY_HAND = "FFDNet, told 10"
"""On real noise: FFDNet told one level for all images, chosen by hand."""

ISO = r"^[^_]+_[^_]+_[^_]+_(\d+)_"
"""Camera, aperture, exposure and ISO of a crop of PolyU, by its name."""

SLOW = ("nlm", "bm3d")

PUBLISHED = {
    "set12": {"BM3D": (32.37, 29.97, 26.72), "DnCNN-S": (32.86, 30.44, 27.18), "DRUNet": (33.25, 30.94, 27.90)},
    "bsd68": {"BM3D": (31.07, 28.57, 25.62), "DnCNN-S": (31.73, 29.23, 26.23), "DRUNet": (31.91, 29.48, 26.59)},
    "cbsd68": {"CBM3D": (33.52, 30.71, 27.38), "FFDNet": (33.87, 31.21, 27.96), "DRUNet": (34.30, 31.69, 28.51)},
}
"""PSNR in dB at sigma 15, 25 and 50, from the papers."""


def methods(test_set: TestSet) -> dict[str, str]:
    """Names for the table, and what `evaluate` loads: networks that take the set's channels."""
    found = {}
    for name, folder in sorted(bundle.shipped().items()):
        spec = bundle.read(folder).spec
        blind_for_white_noise = spec.conditioning == "none" and not test_set.pairs
        if spec.channels == test_set.channels and not blind_for_white_noise:
            found[name] = name
    for name, files in CHECKPOINTS.items():
        if (path := DATA / "checkpoints" / files[test_set.channels]).is_file():
            found[name] = str(path)
    return found


def cost(model: str) -> str:
    """Billions of multiply-adds for a 256x256 image, or nothing for a method without a network."""
    if model in bundle.shipped():
        read = bundle.read(bundle.shipped()[model])
        return f"{multiply_adds(create(read.network, **read.arguments)) / 1e9:.1f}"
    if model in SLOW:
        return ""
    network, arguments, _ = recognise(read_checkpoint(model))
    return f"{multiply_adds(create(network, **arguments)) / 1e9:.1f}"


def conditions(test_set: TestSet) -> Iterator[tuple[str, dict[str, Any]]]:
    """A title for each column, and what `evaluate` measures on."""
    folder = DATA / "benchmark"
    if test_set.pairs:
        noisy, clean = (str(folder / side) for side in test_set.pairs)
        yield "real", {"pairs": (noisy, clean), "group": ISO}
        return
    for sigma in SIGMAS:
        yield str(sigma), {"clean": folder / test_set.clean, "noise": f"gaussian:{sigma}{test_set.stored}"}


def measure(test_set: TestSet, models: dict[str, str], limit: int | None) -> dict[str, Report]:
    """One report for each condition, every model in it on the same images."""
    reports = {}
    for title, where in conditions(test_set):
        print(f"{test_set.title}, {title}: {', '.join(models)}", file=sys.stderr, flush=True)
        where |= {"metrics": ("psnr", "ssim"), "limit": limit}
        report = evaluate(["identity", *models.values()], **where)
        results, names = report.results, ["identity", *models]
        if test_set.pairs and "FFDNet" in models:
            results += evaluate(models["FFDNet"], told="gaussian:10", **where).results
            names.append(BY_HAND)
        reports[title] = replace(
            report, results=tuple(replace(r, model=n) for r, n in zip(results, names, strict=True))
        )
    return reports


def section(name: str, models: dict[str, str], reports: dict[str, Report]) -> list[str]:
    """Heading, table and protocol of one set."""
    first = next(iter(reports.values()))
    count = first.protocol.count
    head = ["method", "G multiply-adds", *(f"PSNR {t}" for t in reports), *(f"SSIM {t}" for t in reports), "s / image"]
    rows = []
    costs = {model: cost(path) for model, path in models.items()}
    costs[BY_HAND] = costs.get("FFDNet", "")
    for model in (result.model for result in first.results):
        results = [report[model] for report in reports.values()]
        psnr = [f"{result.interval('psnr').mean:.2f}" for result in results]
        ssim = [f"{result.interval('ssim').mean:.4f}" for result in results]
        seconds = "" if model == "identity" else f"{sum(result.seconds for result in results) / len(results):.3f}"
        rows.append([model, costs.get(model, ""), *psnr, *ssim, seconds])
    if count == SIZES.get(name):
        rows += [
            [f"{method} (published)", "", *(f"{value:.2f}" for value in values), *[""] * len(values), ""]
            for method, values in PUBLISHED.get(name, {}).items()
        ]
    title = f"## {SETS[name].title}: {'all' if count == SIZES.get(name) else 'the first'} {count} images"
    protocol = [f"- {title}: {'; '.join(report.lines())}" for title, report in reports.items()]
    protocol.append(f"- seconds: wall time of {processors()} core(s), mean over the noise levels")
    gained = gains(first) if SETS[name].pairs else []
    return [title, "", *table(head, rows), "", *gained, *protocol, ""]


def gains(report: Report) -> list[str]:
    """What each method gains over the noisy image in dB, for each ISO of the camera and on the image it suits least."""
    noisy, *results = report.results
    isos = sorted(noisy.groups(), key=int)
    rows = []
    for result in results:
        each = [
            (before.group, after.values["psnr"] - before.values["psnr"])
            for before, after in zip(noisy.images, result.images, strict=True)
        ]
        by_iso = [[gain for group, gain in each if group == iso] for iso in isos]
        means = [f"{sum(found) / len(found):+.2f}" for found in by_iso]
        rows.append([result.model, *means, f"{min(gain for _, gain in each):+.2f}"])
    counts = [sum(score.group == iso for score in noisy.images) for iso in isos]
    heads = [f"ISO {iso} ({count})" for iso, count in zip(isos, counts, strict=True)]
    return ["Gain in PSNR, and the number of images:", "", *table(["method", *heads, "least"], rows), ""]


SIZES = {"set12": 12, "bsd68": 68, "cbsd68": 68, "cbsd68-files": 68, "nikon": 33, "sony": 12}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return ["| " + " | ".join(cells) + " |" for cells in [head, ["---"] + ["---:"] * (len(head) - 1), *rows]]


def plot(report: Report) -> str:
    """Quality against time as a file of its own, in colours that a page would give it."""
    style = """<style>
    svg { --m0: #2673c9; --m1: #d2682a; --m2: #2b9365; --m3: #8a56c2; --m4: #b8902a; --m5: #c24d72; --m6: #3a9aa8;
          --m7: #6f7d8c; background: white; font: 13px sans-serif; }
    line { stroke: #c9ced6; } circle { fill: var(--tone); stroke: white; stroke-width: 2; } text { fill: #333; }
    </style>"""
    drawn = quality_plot(report).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return drawn.replace(">", f">{style}", 1) + "\n"


TITLE = "# The shipped models against the field"

INTRODUCTION = """\
## How it was measured

Made by `python benchmarks/quality.py -o docs/benchmark.md`. PSNR in dB and SSIM at noise of standard deviation 15, 25
and 50 on the 0-255 scale, means over images. All methods of a section ran in one run on one machine; non-local means
and BM3D, which are slow, only on the first images of each set, beside all others. Multiply-adds are for a 256x256
image. Figures marked published are from the papers, for orientation. In files of 8 bits noise is clipped; what that
does to shadows and highlights noiseless undoes for every network that is told the level, FFDNet too.

![PSNR against seconds an image](pictures/quality-against-time.svg)

*CBSD68 at 25, the first images: upper left is better. The grey line is the noisy image.*
"""


def answer(lines: Sequence[str], slow: int) -> str:
    """What the page answers, with the figures of its tables; of the sections of all sets, whole and the first images.

    Args:
        lines: of these sections.
        slow: how many images the slow methods were measured on.
    """

    def row(section: str, method: str) -> dict[str, str]:
        begin = next(number for number, line in enumerate(lines) if line.startswith(f"## {section}"))
        found = next(line for line in lines[begin:] if line.startswith(f"| {method} |"))
        heads, cells = (line.strip("|").split("|") for line in (lines[begin + 2], found))
        return {head.strip(): cell.strip() for head, cell in zip(heads, cells, strict=True)}

    def figures(method: str, *sections: str, column: str) -> str:
        return " and ".join(row(section, method)[column] for section in sections)

    at_25 = functools.partial(figures, column="PSNR 25")
    real = functools.partial(figures, column="PSNR real")
    grey, colour = "BSD68 (grey): all", "CBSD68 (colour): all"
    cameras = [f"PolyU, {name}: all" for name in ("Nikon", "Sony")]
    first = [f"PolyU, {name}: the first {slow}" for name in ("Nikon", "Sony")]
    paragraphs = (
        f"How good are the models that ship? **White noise of 25:** `gray-small` has {at_25('gray-small', grey)} dB on "
        f"BSD68, FFDNet {at_25('FFDNet', grey)}, DnCNN {at_25(DNCNN, grey)}; `color-small` has "
        f"{at_25('color-small', colour)} dB on CBSD68, FFDNet {at_25('FFDNet', colour)}, DnCNN {at_25(DNCNN, colour)}. "
        f"DRUNet, a far larger network, has {at_25('DRUNet (published)', grey, colour)} dB in its paper.",
        "**Real camera noise,** crops of PolyU by Nikon and by Sony cameras: `photo-small` has "
        f"{real('photo-small', *cameras)} dB, FFDNet {real('FFDNet', *cameras)} and, told 10 everywhere, "
        f"{real(BY_HAND, *cameras)}, the noisy crops {real('identity', *cameras)}. "
        f"On the first {slow} of each, BM3D has {real('bm3d', *first)} dB and `photo-small` "
        f"{real('photo-small', *first)}.",
    )
    filled = (textwrap.fill(each, 118, break_on_hyphens=False, break_long_words=False) for each in paragraphs)
    return "\n\n".join([TITLE, *filled]) + "\n"


def kept(part: Path, make: Callable[[], list[str]]) -> list[str]:
    """The lines of a section: those of an earlier run, or made now and kept."""
    if not part.is_file():
        lines = make()
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("\n".join(lines), encoding="utf-8")
    return part.read_text(encoding="utf-8").split("\n")


def networks_on(name: str, options: argparse.Namespace) -> list[str]:
    """The section of the networks on a whole set; models that were named are measured every time."""
    if options.models:
        named = {Path(model).name: model for model in options.models}
        return section(name, named, measure(SETS[name], named, options.limit))
    models = methods(SETS[name])
    part = options.parts / f"{name}-{options.limit or 'all'}.md"
    return kept(part, lambda: section(name, models, measure(SETS[name], models, options.limit)))


def all_on_the_first(name: str, options: argparse.Namespace) -> list[str]:
    """The section of all methods, the slow ones with them, on the first images of a set; and its plot."""

    def make() -> list[str]:
        models = methods(SETS[name]) | {slow: slow for slow in SLOW}
        reports = measure(SETS[name], models, options.slow)
        if name == PLOTTED[0] and options.output:
            picture = options.output.parent / "pictures" / "quality-against-time.svg"
            picture.write_text(plot(reports[str(PLOTTED[1])]), encoding="utf-8")
        return section(name, models, reports)

    return kept(options.parts / f"{name}-slow-{options.slow}.md", make)


def main() -> None:
    """Measure and print, or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", help="shipped models, run folders or checkpoints instead of all")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS, metavar="SET")
    parser.add_argument("--slow", type=int, default=3, help="images of each set for the slow methods; 0 for none")
    parser.add_argument("--limit", type=int, help="the first images of each set only, as many as this")
    parser.add_argument("--parts", type=Path, default=Path("runs/quality"), help="where finished sections are kept")
    parser.add_argument("-o", "--output", type=Path, help="the report, Markdown; its plot goes to pictures/ beside it")
    options = parser.parse_args()
    lines: list[str] = []
    for name in options.sets:
        lines += networks_on(name, options)
        if options.slow and not options.models:
            lines += all_on_the_first(name, options)
    if options.output:
        whole = set(options.sets) == set(SETS) and options.slow and not options.models and not options.limit
        head = answer(lines, options.slow) if whole else f"{TITLE}\n"
        options.output.write_text("\n".join([head, INTRODUCTION, *lines]), encoding="utf-8")
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    try:
        main()
    except NoiselessError as error:
        raise SystemExit(str(error)) from error
