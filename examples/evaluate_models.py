"""Measure models beside classical methods, print the table, and write a report with pictures.

Run: python examples/evaluate_models.py
"""

from __future__ import annotations

from pathlib import Path

import noiseless
from noiseless.data import samples
from noiseless.evaluation.html import write_report
from noiseless.evaluation.pictures import Pictures
from noiseless.evaluation.report import text_table


def measure(images: list[Path], page: Path) -> noiseless.Report:
    """Grey and colour models on the same noisy images; each number comes with the protocol that made it."""
    pictures = Pictures()
    report = noiseless.evaluate(
        ["identity", "median", "wavelet", "gray-small", "color-small"],
        clean=images,
        noise="gaussian:25",
        watch=pictures.add,
    )
    write_report(report, page, pictures=pictures)
    return report


if __name__ == "__main__":
    result = measure(samples("test"), Path("runs/example-report.html"))
    print("\n".join([*text_table(result.rows()), "", *result.lines()]))
