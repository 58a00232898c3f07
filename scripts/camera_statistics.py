"""How alike synthetic and real camera noise are: prints one table for pairs of photographs and for `noise.Camera`.

    python scripts/camera_statistics.py --pairs 'polyu100/Canon*_real.JPG' '_real' '_mean' --clean STORE
    python scripts/camera_statistics.py --pairs ... --clean STORE --noise level=0.01 --picture sheet.png

Noise is the noisy picture minus the clean one, on the 0-255 scale; each figure is that of a patch of 128 x 128 pixels,
of which the 10th, 50th and 90th percentile are given. STORE is a packed store of clean pictures, or one that
`scripts/synthesise_pairs.py` made (then its own pairs are measured).
"""

from __future__ import annotations

import argparse
import glob
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from noiseless.noise.camera import Camera

PATCH = 128
LAGS = 8
BANDS = 4
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Figures:
    """What is measured of one patch of noise, on the 0-255 scale."""

    deviation: float
    luma: float
    chroma: float
    shift: float
    channels: float
    rows: np.ndarray
    columns: np.ndarray
    luma_rows: np.ndarray
    chroma_rows: np.ndarray
    brightness: np.ndarray
    texture: float

    @classmethod
    def of(cls, noisy: np.ndarray, clean: np.ndarray) -> Figures:
        """Figures of a pair of patches (3, H, W), 0-255."""
        noise = noisy.astype(np.float64) - clean
        centred = noise - noise.mean(axis=(1, 2), keepdims=True)
        luma = centred.mean(axis=0)
        chroma = centred - luma
        return cls(
            deviation=float(np.sqrt((centred**2).mean())),
            luma=float(luma.std()),
            chroma=float(np.sqrt((chroma**2).mean())),
            shift=float(noise.mean()),
            channels=_channel_correlation(centred),
            rows=_autocorrelation(centred, -1),
            columns=_autocorrelation(centred, -2),
            luma_rows=_autocorrelation(luma[None], -1),
            chroma_rows=_autocorrelation(chroma, -1),
            brightness=_by_brightness(luma, clean.mean(axis=0)),
            texture=_texture_ratio(luma, clean.mean(axis=0)),
        )


def _channel_correlation(noise: np.ndarray) -> float:
    covariance = np.cov(noise.reshape(3, -1)) + 1e-9 * np.eye(3)
    scale = np.sqrt(np.diag(covariance))
    return float(((covariance / np.outer(scale, scale)).sum() - 3) / 6)


def _autocorrelation(noise: np.ndarray, axis: int) -> np.ndarray:
    moved = np.moveaxis(noise, axis, -1)
    power = (moved**2).mean(axis=(1, 2)) + 1e-9
    return np.array([((moved[..., :-k] * moved[..., k:]).mean(axis=(1, 2)) / power).mean() for k in range(1, LAGS + 1)])


def _by_brightness(luma: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Deviation of high-passed luma noise in bands of brightness 0-63, 64-127, ...; NaN where too few pixels."""
    high = luma - _blurred(luma, 15)
    band = np.clip(clean // (256 / BANDS), 0, BANDS - 1)
    parts = [high[band == number] for number in range(BANDS)]
    return np.array([part.std() if part.size > 500 else np.nan for part in parts])


def _texture_ratio(luma: np.ndarray, clean: np.ndarray) -> float:
    """Noise where there is texture over noise where it is flat; NaN without both."""
    slope = _blurred(np.hypot(*np.gradient(_blurred(clean, 3))), 7)
    high = luma - _blurred(luma, 15)
    rough, flat = high[slope > 4], high[slope < 1]
    return float(rough.std() / (flat.std() + 1e-3)) if min(rough.size, flat.size) > 500 else np.nan


def _blurred(plane: np.ndarray, size: int) -> np.ndarray:
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(plane, size))


def real_pairs(pattern: str, noisy_mark: str, clean_mark: str) -> Iterator[Pair]:
    """Patches of pairs of files; the clean file's name has `clean_mark` where the noisy one's has `noisy_mark`."""
    for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - the pattern holds the folder
        clean_path = Path(path).with_name(Path(path).name.replace(noisy_mark, clean_mark))
        noisy, clean = (np.asarray(Image.open(each).convert("RGB")).transpose(2, 0, 1) for each in (path, clean_path))
        for top in range(0, clean.shape[1] - PATCH + 1, PATCH):
            for left in range(0, clean.shape[2] - PATCH + 1, PATCH):
                yield tuple(each[:, top : top + PATCH, left : left + PATCH] for each in (noisy, clean))


def synthetic_pairs(folder: Path, camera: Camera, count: int, seed: int = 0) -> Iterator[Pair]:
    """Patches of a store: its own pairs, or clean ones with the camera's noise."""
    if (folder / "noisy.npy").exists():
        noisy, clean = (np.load(folder / f"{side}.npy", mmap_mode="r") for side in ("noisy", "clean"))
        for index in np.random.default_rng(seed).choice(len(clean), min(count, len(clean)), replace=False):
            yield noisy[index], clean[index]
        return
    entries = json.loads((folder / "index.json").read_text())["images"]
    pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r")
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        entry = entries[int(generator.integers(len(entries)))]
        size = int(np.prod(entry["shape"]))
        image = pixels[entry["offset"] : entry["offset"] + size].reshape(entry["shape"])
        top, left = (int(generator.integers(side - PATCH + 1)) for side in image.shape[1:])
        clean = image[:, top : top + PATCH, left : left + PATCH].astype(np.float32) / 255
        noisy, target = camera.pair(clean, generator)
        yield np.rint(noisy * 255), np.rint(target * 255)


def table(name: str, figures: Sequence[Figures]) -> str:
    """The figures of many patches as text."""
    lines = [f"{name}: {len(figures)} patches (10, 50, 90%)"]
    for key in ("deviation", "luma", "chroma", "shift", "channels", "texture"):
        values = np.array([getattr(each, key) for each in figures])
        lines.append(f"  {key:12}" + "  ".join(f"{v:6.2f}" for v in np.nanpercentile(values, (10, 50, 90))))
    ratio = np.array([each.chroma / (each.luma + 1e-3) for each in figures])
    lines.append("  chroma/luma " + "  ".join(f"{v:6.2f}" for v in np.percentile(ratio, (10, 50, 90))))
    for key in ("rows", "columns", "luma_rows", "chroma_rows"):
        values = np.array([getattr(each, key) for each in figures])
        for share in (10, 50, 90):
            shown = " ".join(f"{v:5.2f}" for v in np.percentile(values, share, axis=0))
            lines.append(f"  {key if share == 10 else '':12}{share:3}%  {shown}")
    bright = np.array([each.brightness for each in figures])
    lines.append("  luma sd at 32, 96, 160, 224: " + " ".join(f"{v:5.2f}" for v in np.nanmedian(bright, axis=0)))
    return "\n".join(lines)


def sheet(pairs: Sequence[Pair], path: Path, columns: int = 4) -> None:
    """A picture: noisy, clean, and their difference six times as strong, twice enlarged."""
    cells = []
    for noisy, clean in pairs:
        difference = np.clip((noisy.astype(np.float32) - clean) * 6 + 128, 0, 255)
        cells.append(np.concatenate([noisy, clean, difference], axis=2).transpose(1, 2, 0).astype(np.uint8))
    rows = [np.concatenate(cells[start : start + columns], axis=1) for start in range(0, len(cells), columns)]
    image = Image.fromarray(np.concatenate(rows, axis=0))
    image.resize((image.width * 2, image.height * 2), Image.Resampling.NEAREST).save(path)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs=3, metavar=("GLOB", "NOISY", "CLEAN"))
    parser.add_argument("--clean", type=Path, metavar="STORE")
    parser.add_argument("--noise", default="", help="parameters of the camera: level=0.01,chroma=0.3-0.8")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    shown: list[Pair] = []
    if arguments.pairs:
        pairs = list(real_pairs(*arguments.pairs))
        print(table("real", [Figures.of(*pair) for pair in pairs]))
        shown += pairs[:: max(len(pairs) // 8, 1)][:8]
    if arguments.clean:
        pairs = list(synthetic_pairs(arguments.clean, Camera.from_text(arguments.noise), arguments.count))
        noisy = [pair for pair in pairs if (pair[0] != pair[1]).any()]
        print(f"without noise: {len(pairs) - len(noisy)} of {len(pairs)}")
        print(table("synthetic", [Figures.of(*pair) for pair in noisy]))
        shown += pairs[:12]
    if arguments.picture:
        sheet(shown[: len(shown) // 2 * 2], arguments.picture, columns=2)


if __name__ == "__main__":
    main()
