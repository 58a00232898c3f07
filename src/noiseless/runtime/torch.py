"""PyTorch: the engine for CUDA devices, and for networks that are not exported (the [train] extra)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from noiseless.bundle import Bundle
from noiseless.errors import BundleError, ConfigError, MissingExtraError, UnknownNameError, WorkError
from noiseless.networks import spec_of
from noiseless.runtime import UNKNOWN_BYTES_PER_PIXEL, Array, Precision
from noiseless.runtime.machine import has_bf16, used_threads

if TYPE_CHECKING:
    import torch
    from torch import nn

OVERHEAD = 2.5
FIXED_BYTES = 200e6
OUT_OF_MEMORY = ("allocate memory", "out of memory")


class TorchEngine:
    """A network in PyTorch, on the processor or a CUDA device; see `noiseless.runtime.Engine`."""

    name = "torch"
    note = ""

    def __init__(
        self, bundle: Bundle, *, precision: Precision = "exact", device: str = "auto", threads: int | None = None
    ) -> None:
        self._start(load_network(bundle), bundle.bytes_per_pixel, precision, device, threads)

    @classmethod
    def of(
        cls,
        network: nn.Module,
        *,
        bytes_per_pixel: float | None = None,
        precision: Precision = "exact",
        device: str = "auto",
        threads: int | None = None,
    ) -> TorchEngine:
        """An engine for a network that is already there; it is moved to the device and put into eval mode."""
        engine = cls.__new__(cls)
        engine._start(network, bytes_per_pixel, precision, device, threads)
        return engine

    def _start(
        self,
        network: nn.Module,
        bytes_per_pixel: float | None,
        precision: Precision,
        device: str,
        threads: int | None,
    ) -> None:
        import torch

        self.precision = precision
        self.bytes_per_pixel = OVERHEAD * (bytes_per_pixel or UNKNOWN_BYTES_PER_PIXEL)
        self.fixed_bytes = FIXED_BYTES
        if threads is not None:
            torch.set_num_threads(used_threads(threads))
        self._device = find_device(device)
        self._network = network.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def offers(bundle: Bundle, precision: Precision, device: str) -> bool:
        """Float32 everywhere, bf16 where the device has it."""
        return precision == "exact" or (precision == "fast" and _multiplies_bf16(find_device(device)))

    def run(self, batch: Array, sigma: Array | None) -> Array:
        """Restore a batch (B, C, H, W); see `noiseless.runtime.Engine.run`."""
        import torch

        fast = self.precision == "fast"
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=fast):
                inputs = [torch.from_numpy(array).to(self._device) for array in (batch, sigma) if array is not None]
                inputs[0] = inputs[0].contiguous(memory_format=torch.channels_last)
                restored: Array = self._network(*inputs).float().cpu().contiguous().numpy()
        except RuntimeError as error:
            if any(sign in str(error) for sign in OUT_OF_MEMORY):
                raise MemoryError(str(error)) from error
            raise WorkError("PyTorch failed", got=str(error)) from error
        return restored

    def release(self) -> None:
        """Give back what is cached on a CUDA device; on the processor nothing is kept."""
        import torch

        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def check_torch() -> None:
    """Raise MissingExtraError where PyTorch is not installed."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("the torch engine", "train") from error


def find_device(name: str) -> torch.device:
    """The device of a name: ``auto`` is CUDA where there is one.

    Raises:
        MissingExtraError: PyTorch is not installed.
        ConfigError: there is no such device.
    """
    check_torch()
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        there = ["auto", "cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
        without = "" if torch.version.cuda else f"PyTorch {torch.__version__}, which is built without CUDA"
        raise ConfigError(
            f"device {name!r} cannot be used",
            got=without or f"PyTorch {torch.__version__}, which finds no such device",
            expected=" or ".join(there),
            fix="Leave device out: auto takes a GPU where PyTorch finds one"
            + (", for which it must be one with CUDA (https://pytorch.org/get-started)." if without else "."),
        ) from error


def load_network(bundle: Bundle) -> nn.Module:
    """Build a bundle's network and load its weights.

    Raises:
        BundleError: the network is unknown, its arguments or weights do not fit.
    """
    check_torch()
    import torch

    from noiseless import networks

    try:
        network = networks.create(bundle.network, **bundle.arguments)
        tensors = {name: torch.from_numpy(array) for name, array in bundle.tensors().items()}
        network.load_state_dict(tensors)
    except UnknownNameError as error:
        raise BundleError(f"{bundle.path} needs a network that this version lacks", got=str(error)) from error
    except (ConfigError, TypeError, RuntimeError) as error:
        raise BundleError(f"{bundle.path} does not fit the network {bundle.network}", got=str(error)) from error
    return network


def load_foreign(path: Path) -> tuple[Bundle, nn.Module]:
    """Read a checkpoint of another project and recognise its network by the keys.

    Nothing in the file is executed: only tensors and plain data are read.

    Raises:
        BundleError: not a checkpoint, one that holds code, or one of an unknown network.
        MissingExtraError: PyTorch is not installed.
    """
    check_torch()
    from noiseless import networks
    from noiseless.networks import foreign

    name, arguments, state = foreign.recognise(foreign.read_checkpoint(path))
    network = networks.create(name, **arguments)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise BundleError(f"the weights of {path} do not fit {name}", got=str(error)) from error
    return Bundle(path, path.stem, name, arguments, spec_of(network)), network


def _multiplies_bf16(device: torch.device) -> bool:
    import torch

    return torch.cuda.is_bf16_supported() if device.type == "cuda" else has_bf16()
