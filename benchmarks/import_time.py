"""How long `import noiseless` and `noiseless --help` take, against a bare `import numpy`; the goal is at most twice.

Run: python benchmarks/import_time.py
"""

from __future__ import annotations

import argparse

from timing import interleaved, show

COMMANDS = {
    "import numpy": ["-c", "import numpy"],
    "import noiseless": ["-c", "import noiseless"],
    "noiseless --help": ["-m", "noiseless", "--help"],
    "noiseless denoise --help": ["-m", "noiseless", "denoise", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    show(interleaved(COMMANDS, parser.parse_args().repeats), "import numpy")


if __name__ == "__main__":
    main()
