"""Give bundles their int8 graph where it loses no more than it may, and take it away where it does.

    python scripts/quantise_bundle.py src/noiseless/weights/color-small runs/mine

Calibrated and measured on the shipped photographs; takes a minute or two for each.
"""

from __future__ import annotations

import argparse

from noiseless.denoiser import find
from noiseless.exporting.int8 import quantise_bundle


def main() -> None:
    """Parse the command line and quantise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="a bundle, a run folder or a shipped model")
    for name in parser.parse_args().bundles:
        folder = find(name)
        good = quantise_bundle(folder, say=print).good
        print(f"{folder}: {'has an int8 graph' if good else 'no int8 graph: it would lose too much'}")


if __name__ == "__main__":
    main()
