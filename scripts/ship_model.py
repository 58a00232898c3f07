"""Put the best model of a run into the package, with a card that says what matters.

    python scripts/ship_model.py runs/color-small color-small --hours 1.0 --numbers cbsd68.json kodak.json

The numbers come from files that `noiseless evaluate MODEL ... --json FILE` wrote; see scripts/model_card.py.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from model_card import write_card

from noiseless import bundle
from noiseless.denoiser import find
from noiseless.exporting.int8 import quantise_bundle


def main() -> None:
    """Parse the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder or a bundle")
    parser.add_argument("name", help="of the shipped model")
    parser.add_argument("--hours", type=float, required=True, help="of training, those of its start included")
    parser.add_argument("--machine", default="one core of a server processor (AMD EPYC)", help="that trained it")
    parser.add_argument("--start", default="", help="the model whose weights it started from")
    parser.add_argument("--ceiling", type=float, help="of noiseless.ceiling; else the one that the bundle has")
    parser.add_argument("--numbers", type=Path, nargs="*", default=[], help="JSON files of noiseless evaluate")
    arguments = parser.parse_args()
    source, target = find(arguments.run), bundle.SHIPPED / arguments.name
    if source.resolve() != target.resolve():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    _settle(target, arguments.name, arguments.ceiling)
    quantise_bundle(target, say=print)
    write_card(arguments.name, target, arguments.hours, arguments.machine, arguments.start, arguments.numbers)
    size = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    print(f"{target}: {size:.1f} MB")


def _settle(folder: Path, name: str, ceiling: float | None) -> None:
    path = folder / bundle.CONFIG
    config = json.loads(path.read_text(encoding="utf-8")) | {"name": name}
    if ceiling is not None:
        config["ceiling"] = ceiling
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    bundle.read(folder)


if __name__ == "__main__":
    main()
