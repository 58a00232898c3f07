"""Blend the weights of two models that began alike: what lies on the straight line between them.

    python scripts/blend_models.py runs/first/last runs/second/last --share 0.5 -o runs/blended

Of two trainings, one after the other on different pairs, the blend keeps of the first what the second forgets
(Wortsman et al., "Robust fine-tuning of zero-shot models", 2022). Its train.json is that of the second, and names the
share and the recipe of the first, and under `first` and `second` how either was blended itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from noiseless import bundle
from noiseless.denoiser import find
from noiseless.exporting import save_bundle
from noiseless.runtime.torch import load_network


def main() -> None:
    """Parse the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="a run folder or a bundle")
    parser.add_argument("second", type=Path, help="another, of the same network")
    parser.add_argument("--share", type=float, default=0.5, help="of the second")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the bundle to write")
    arguments = parser.parse_args()
    first, second = (bundle.read(find(path)) for path in (arguments.first, arguments.second))
    network, weights = load_network(second), load_network(first).state_dict()
    with_share = {
        name: arguments.share * tensor + (1 - arguments.share) * weights[name] if tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    network.load_state_dict(with_share)
    of_first, of_second = (json.loads((model.path / bundle.TRAIN).read_text("utf-8")) for model in (first, second))
    before = {side: of["blended"] for side, of in (("first", of_first), ("second", of_second)) if "blended" in of}
    save_bundle(
        network,
        arguments.output,
        name=second.name,
        network_name=second.network,
        arguments=second.arguments,
        noise=second.noise,
        card=(second.path / bundle.CARD).read_text("utf-8"),
        train=of_second | {"blended": {"share": arguments.share, "with": of_first["recipe"]} | before},
    )


if __name__ == "__main__":
    main()
