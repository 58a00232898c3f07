"""Make a store of noisy / clean patches ahead, for noise that costs as much to make as a training step.

    python scripts/synthesise_pairs.py STORE... --noise camera --patch 128 --count 24000 --seed 1 -o PAIRS

The stores hold clean images: noiseless data pack makes them. An interrupted run goes on when it is started again;
the same arguments make the same store. Train on it with: noiseless train --data PAIRS.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from noiseless.data.store import PackedStore
from noiseless.data.synthesis import synthesise
from noiseless.noise import parse


def main() -> None:
    """Parse, make, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", help="Packed stores of clean images.")
    parser.add_argument("--noise", default="camera", help="A noise expression.")
    parser.add_argument("--patch", type=int, default=128, help="Side of the patches in pixels.")
    parser.add_argument("--count", type=int, default=24000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    stores = [PackedStore(folder) for folder in arguments.stores]
    images = [image for store in stores for image in store]
    synthesise(
        images,
        parse(arguments.noise),
        arguments.count,
        arguments.patch,
        arguments.seed,
        arguments.output,
        provenance={"stores": [_origin(store) for store in stores]},
        workers=arguments.workers,
        progress=lambda done, count: print(f"{done} of {count}", flush=True) if done % 2000 == 0 else None,
    )
    print(f"{arguments.count} pairs in {arguments.output}")


def _origin(store: PackedStore) -> dict[str, Any]:
    """What the pairs keep of a store: its hash, and how many images stand under each licence."""
    licences = Counter(str(entry.info.get("licence") or "unknown") for entry in store.entries)
    return {"folder": store.folder.name, "sha256": store.content_hash, "licences": dict(licences)}


if __name__ == "__main__":
    main()
