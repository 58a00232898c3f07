"""`finetune`: from a model and a configuration to a run folder and a denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from noiseless import bundle as bundles
from noiseless import networks, tables
from noiseless.bundle import Bundle
from noiseless.errors import ConfigError
from noiseless.finetuning.adalora import settle_budget
from noiseless.finetuning.adapter import Adapter, check_base, extract, read_adapter, write_adapter
from noiseless.finetuning.base import Base, find_base, start_from
from noiseless.finetuning.config import GROUP, METHODS, FinetuningConfig, MethodConfig
from noiseless.finetuning.files import ADAPTER
from noiseless.finetuning.freezing import check_patterns
from noiseless.finetuning.holding import Holding
from noiseless.finetuning.keeping import check, kept, kept_noise, label_apart, remember
from noiseless.finetuning.layers import call_order, plain_name
from noiseless.finetuning.lowrank import merged
from noiseless.training.adaptation import Adaptation
from noiseless.training.config import MEASURED, check_kind, run_folder
from noiseless.training.objectives import Objective
from noiseless.training.run import Outcome, run_training
from noiseless.training.state import Listener

if TYPE_CHECKING:
    from noiseless.denoiser import Denoiser


@dataclass(frozen=True)
class FinetuningOutcome:
    """How fine-tuning ended.

    Attributes:
        run: how its run ended; `run.start_psnr` is the validation PSNR of the model it started from.
        base: the model it started from.
        method: how.
        trainable: numbers that were trained.
        parameters: numbers that the network has.
        adapter: the file of what was trained, where it is better than the model was.
    """

    run: Outcome
    base: Base
    method: str
    trainable: int
    parameters: int
    adapter: Path | None

    @property
    def gain(self) -> float:
        """Validation PSNR gained, in dB; 0 where nothing was better than the model was."""
        return self.run.psnr - self.run.start_psnr

    @property
    def better(self) -> bool:
        """Whether any validation was better than the model was."""
        return self.gain > 0


def finetune(
    model: str | Path,
    config: FinetuningConfig,
    output: str | Path,
    *,
    resume: bool = False,
    stop_after: float | None = None,
    listener: Listener | None = None,
) -> Denoiser:
    """Adapt a model to other noise or other images and leave a run folder.

    ```python
    from dataclasses import replace
    from noiseless.finetuning import default_config

    config = replace(default_config("lora"), data=DataConfig(clean=("photos",)), noise="rician:sigma=0.08", minutes=3)
    denoiser = noiseless.finetune("gray-small", config, "runs/mine")
    ```

    Args:
        model: a shipped model, the folder of a bundle, or a run folder.
        config: the method, on what, for how long; from `default_config`.
        output: the run folder, as `noiseless.train` leaves it; ``best/`` is the merged model, and
            ``adapter.safetensors`` holds what was trained.
        resume: go on from the newest checkpoint there; without one, start anew.
        stop_after: minutes after which to write a checkpoint and leave, annealing nothing.
        listener: told how it goes.

    Returns:
        The denoiser with the best validation PSNR; the model as it was where none was better.

    Raises:
        ConfigError: settings that contradict each other, the model or an existing run.
        BundleError: the model cannot be used.
        DataError: no usable images.
        DivergedError: the loss became infinite; the best weights so far are kept.
    """
    from noiseless.denoiser import load

    outcome = run_finetuning(model, config, output, resume=resume, stop_after=stop_after, listener=listener)
    return load(output) if outcome.better or outcome.run.ending != "finished" else load(model)


def run_finetuning(
    model: str | Path,
    config: FinetuningConfig,
    output: str | Path,
    *,
    resume: bool = False,
    stop_after: float | None = None,
    listener: Listener | None = None,
) -> FinetuningOutcome:
    """As `finetune`, but returns how it ended instead of a denoiser."""
    config = check_kind(config, FinetuningConfig, 'noiseless.finetuning.default_config("lora")')
    folder, listener = run_folder(output), listener or Listener()
    base = find_base(model)
    check(base, config)
    config = start_from(base, config)
    if config.keep.name != "none":
        config = replace(config, keep=replace(config.keep, noise=kept_noise(base, config)))
    if config.method.name == "prompt":
        config = replace(config, told=MEASURED)  # one file serves several tasks
    have, want = base.bundle.spec.channels, config.arguments.get("channels")
    if want not in (None, have):
        listener.say(f"Channels {have} -> {want}: the first and the last layer take the weights of the others' mean")
    work = Work(base, config, folder, listener.say)
    work.check()
    run = run_training(
        config, folder, resume=resume, stop_after=stop_after, listener=listener, adaptation=work.adaptation()
    )
    adapter = folder / ADAPTER
    saved = adapter if adapter.is_file() else None
    return FinetuningOutcome(run, base, config.method.name, work.trainable, work.parameters, saved)


def _prompts_beside(base: Base, method: MethodConfig) -> Adapter:
    """The prompts that a new one is put beside; an adapter without any where none are named.

    Raises:
        BundleError: they are of another model.
        ConfigError: the file holds no prompts.
    """
    if not method.beside:
        return Adapter("prompt", {}, base.model, base.sha256, base.bundle.network, {}, None, {})
    adapter = read_adapter(method.beside)
    check_base(adapter, base, method.beside)
    if not adapter.prompts:
        raise ConfigError(f"{method.beside} holds no prompts to put another beside", got=f"method {adapter.method}")
    return adapter


class Work:
    """What one run does to its network, and remembers of it.

    Args:
        base: the model it starts from.
        config: the settings.
        folder: of the run.
        say: told what is trained.

    Attributes:
        trainable: numbers that are trained, once the network is there.
        parameters: numbers that the network has.
    """

    def __init__(self, base: Base, config: FinetuningConfig, folder: Path, say: Callable[[str], None]) -> None:
        self.base, self.config, self.folder, self.say = base, config, folder, say
        self.trainable = self.parameters = 0
        self._before: dict[str, Tensor] = {}
        self._order: list[str] = []
        self._holding: Holding | None = None
        self._beside = _prompts_beside(base, config.method)
        self._label = label_apart(base, config)

    def adaptation(self) -> Adaptation:
        """What the training loop asks."""
        return Adaptation(self.apply, self.merged, self.groups, self.objective, self.saved, settle_budget, self._label)

    def check(self) -> None:
        """See that the method finds something to train in such a network, before anything is made.

        Raises:
            ConfigError: it finds nothing, a pattern of ``method.freeze`` names nothing, or there is no such network.
        """
        with torch.random.fork_rng(devices=[]):
            network = networks.create(self.config.network, **self.config.arguments)
            check_patterns(network, self.config.method)
            self._adapted(network)

    def _adapted(self, network: nn.Module) -> nn.Module:
        method: Callable[[nn.Module, MethodConfig], nn.Module] = tables.load(
            "method", self.config.method.name, METHODS, GROUP
        )
        return method(network, self.config.method)

    def apply(self, network: nn.Module) -> nn.Module:
        """Prepare the network for the method, in place."""
        self._before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self._order = call_order(network)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        adapted = self._adapted(network)
        self.trainable = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
        share = self.trainable / self.parameters
        self.say(
            f"Method {self.config.method.name}: {self.trainable:,} numbers are trained, {share:.2%} of the network's"
        )
        return adapted

    def groups(self, network: nn.Module) -> list[dict[str, Any]]:
        """One group for each learning rate: the same for all, or falling towards the first layer."""
        trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
        by_scale: dict[float, list[nn.Parameter]] = {}
        for name, parameter in trained:
            by_scale.setdefault(self._scale(plain_name(name)), []).append(parameter)
        return [{"params": parameters, "scale": scale} for scale, parameters in by_scale.items()]

    def _scale(self, name: str) -> float:
        layer, last = name.rpartition(".")[0], len(self._order) - 1
        if layer not in self._order or not last:
            return 1.0
        rate: float = self.config.method.first_layer_rate ** (1 - self._order.index(layer) / last)
        return rate

    def objective(self, objective: Objective, network: nn.Module) -> Objective:
        """The objective, and beside it what holds the network to what it could do."""
        if self.config.keep.name == "none":
            return objective
        past = remember(network, self.base, self.config, self.folder)
        if self.config.method.name != "prompt":  # that changes nothing of the model
            before = {name: tensor.to(past.device) for name, tensor in self._before.items()}
            self._holding = Holding(past, before, self.config.keep.most_lost)
        return kept(objective, past)

    def merged(self, network: nn.Module) -> nn.Module:
        """The plain network, with as much of the change as `KeepConfig.most_lost` allows."""
        plain = merged(network)
        return plain if self._holding is None else self._holding(plain)

    def saved(self, network: nn.Module, folder: Path) -> None:
        """Write what was trained beside the best model."""
        if folder.name != "best":
            return
        written = bundles.read(folder)
        share = 1.0 if self._holding is None else self._holding.share
        write_adapter(self.folder / ADAPTER, self._adapter(extract(network, self._before, share), written))

    def _adapter(self, tensors: dict[str, Tensor], written: Bundle) -> Adapter:
        """What was trained as an adapter; a prompt beside those that there are.

        Args:
            tensors: that were trained.
            written: the merged model.
        """
        made = Adapter(
            method=self.config.method.name,
            settings=asdict(self.config.method),
            base=self.base.model,
            base_sha256=self.base.sha256,
            network=self.config.network,
            arguments=self.config.arguments,
            noise=written.noise,
            tensors=tensors,
            told=written.told,
            unclips=written.unclips,
        )
        if self.config.method.name != "prompt":
            return made
        name = self.config.method.prompt
        own = {f"{name}/{key}": tensor for key, tensor in tensors.items()}
        others = {key: tensor for key, tensor in self._beside.tensors.items() if not key.startswith(f"{name}/")}
        facts = {"noise": made.noise, "told": made.told, "unclips": made.unclips}
        return replace(made, tensors={**others, **own}, prompts={**self._beside.prompts, name: facts})
