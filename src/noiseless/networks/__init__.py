"""Networks: one architecture per file, found in one table.

`create` builds a network by its name; importing this package imports no torch, building one does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from noiseless.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

NETWORKS: dict[str, str] = {
    "unet_nano": "noiseless.networks.unet:unet_nano",
    "unet_small": "noiseless.networks.unet:unet_small",
    "unet_base": "noiseless.networks.unet:unet_base",
}


def create(name: str, **arguments: Any) -> nn.Module:
    """Build a network of the table.

    Args:
        name: a key of `NETWORKS`.
        arguments: passed to its constructor; plain data.

    Returns:
        A module with an attribute ``spec`` (`noiseless.bundle.NetworkSpec`).

    Raises:
        UnknownNameError: no network of this name.
    """
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    module, attribute = NETWORKS[name].split(":")
    network: nn.Module = getattr(importlib.import_module(module), attribute)(**arguments)
    return network
