"""Estimates and audits as one HTML file, with maps of structure that was eaten or invented and of noise left."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import numpy as np
from scipy import ndimage

from noiseless.evaluation.estimates import Estimate, Estimates
from noiseless.evaluation.html import bullets, document, embedded, table
from noiseless.evaluation.pictures import LARGEST_SIDE
from noiseless.evaluation.residual import STEP, Audit
from noiseless.evaluation.scenes import to_uint8
from noiseless.io.atomic import make_folder, replacing, write_text

MOST = 12
"""Pictures of models on images that a page shows: those that lost the most structure."""

LEFT, EATEN = (40, 90, 200), (200, 40, 30)
"""Colours of windows with too little and too much removed."""

SPANS = 4.0
"""Standard deviations of what was removed that black and white stand for."""

STYLE = "<style>.audit{display:flex;flex-wrap:wrap;gap:8px}.audit figure{margin:0}.audit img{max-width:320px}</style>"


class ResidualPictures:
    """Collects pictures while models are estimated; `add` is a `watch` of `estimate`."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: list[tuple[Estimate, str, dict[str, np.ndarray]]] = []

    def add(self, model: str, found: Estimate, noisy: np.ndarray, restored: np.ndarray) -> None:
        """Take a result in; of more than the page shows, those with the most windows that lost structure stay."""
        height, width = (min(size, LARGEST_SIDE) for size in noisy.shape[-2:])
        removed = noisy - restored
        grey = 0.5 + removed / (2 * SPANS * max(float(removed.std()), 1e-6))
        pictures = {
            name: _picture(each) for name, each in (("noisy", noisy), ("restored", restored), ("removed", grey))
        }
        pictures["map"] = draw_map(found.audit, restored)
        shown = {name: each[:height, :width] for name, each in pictures.items()}
        self._kept = sorted([*self._kept, (found, model, shown)], key=lambda each: -each[0].audit.too_much)[
            : self._most
        ]

    def write(self, made: Estimates, folder: str | Path, page: str = "report.html") -> Path:
        """Write the page, and each map that it shows as ``maps/IMAGE-MODEL.png``.

        Raises:
            OutputError: a file cannot be written.
        """
        head, *rows = made.rows()
        body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        parts = [
            f"<h2>Numbers</h2>{table(head, body)}",
            bullets([*made.lines(), *(f"{name} left out: {error}" for name, error in made.left_out.items())]),
            f"<h2>What was removed</h2>{bullets(made.verdicts())}",
            "<p>In the maps red windows were changed by more than noise: structure was lost there, or invented; blue "
            "ones kept at least half of the noise.</p>",
            STYLE,
            *(self._shown(*each) for each in self._kept),
        ]
        path = Path(folder) / page
        write_text(path, document("Measured without clean images", parts))
        for found, model, pictures in self._kept:
            name = re.sub(r"[^\w.-]+", "_", f"{found.name}-{model}")
            _write_png(Path(folder) / "maps" / f"{name}.png", pictures["map"])
        return path

    def _shown(self, found: Estimate, model: str, pictures: dict[str, np.ndarray]) -> str:
        title = f"<h3>{html.escape(f'{found.name}, {model}: {found.audit.verdict}')}</h3>"
        figures = "".join(
            f'<figure><img src="{embedded(each)}" alt="{name}"><figcaption>{name}</figcaption></figure>'
            for name, each in pictures.items()
        )
        return f'{title}<p class="hint">{html.escape(str(found.audit))}</p><div class="audit">{figures}</div>'


def draw_map(audit: Audit, restored: np.ndarray) -> np.ndarray:
    """The restored image in grey, windows with too much removed in red and with too little in blue.

    Args:
        audit: of the image.
        restored: (C, H, W) in [0, 1] units.

    Returns:
        uint8, (H, W, 3).
    """
    height, width = restored.shape[-2:]
    grey = restored.mean(axis=0)[..., np.newaxis].repeat(3, axis=2)
    for chosen, colour in ((audit.too_little_windows, LEFT), (audit.too_much_windows, EATEN)):
        places = [
            np.clip(np.arange(size) // STEP - 1, 0, count - 1)
            for size, count in zip((height, width), chosen.shape, strict=True)
        ]
        cover = ndimage.gaussian_filter(chosen.astype(np.float64)[np.ix_(*places)], STEP / 4)[..., np.newaxis]
        grey = grey * (1 - 0.6 * cover) + 0.6 * cover * np.array(colour) / 255
    return to_uint8(grey)


def _picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) to uint8 (H, W) or (H, W, 3); other numbers of channels as their mean."""
    plain = to_uint8(image if len(image) in (1, 3) else image.mean(axis=0, keepdims=True))
    return np.moveaxis(plain, 0, -1) if len(plain) == 3 else plain[0]


def _write_png(path: Path, picture: np.ndarray) -> None:
    from PIL import Image as Pillow

    make_folder(path.parent)
    buffer = io.BytesIO()
    Pillow.fromarray(picture).save(buffer, "PNG")
    with replacing(path) as file:
        file.write(buffer.getvalue())
