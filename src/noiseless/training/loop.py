"""The training loop: one for every network, objective and source of data.

What the loop does at a step follows from the share of the budget that is spent: the learning rate, the patch size,
when to validate. An interruption therefore changes nothing but the clock, and a `steps` run that was killed and
resumed ends with the same weights, bit for bit, as one that ran through.
"""

from __future__ import annotations

import math
import signal
import time
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from noiseless.errors import ConfigError, DivergedError
from noiseless.training.checkpoint import load_checkpoint, save_checkpoint
from noiseless.training.config import Stage
from noiseless.training.interrupt import interruptible
from noiseless.training.objectives import Batch
from noiseless.training.patches import in_turn, make_batch, prefetch
from noiseless.training.schedule import learning_rate
from noiseless.training.state import Ending, Hooks, Run, Status

ENDED_BY: dict[signal.Signals, Ending] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}

CHECKPOINT_SECONDS = 180.0
LOSSES_AT_ONCE = 10
"""How many losses stay on the device before they are looked at; each look waits for the device."""

RUNAWAY = 1e4
"""No network that restores images in [0, 1] units has a mean loss like this: its weights have run away and seldom find
back to where they were."""


def fit(run: Run, hooks: Hooks, *, stop_after: float | None = None) -> Ending:
    """Train until the budget is spent, early stopping ends it, `stop_after` seconds are over, Ctrl-C or SIGTERM.

    However it ends, a checkpoint and the bundle ``last`` are written, so that the run can be used and resumed.

    Raises:
        DivergedError: the loss is no longer finite; the best weights so far are kept.
        OutputError: the run folder cannot be written.
    """
    began = saved = time.monotonic()
    clock = began - run.progress.seconds
    pending: list[Tensor] = []
    ahead = in_turn if run.fabric.device.type == "cpu" else prefetch
    with interruptible() as asked, closing(ahead(lambda step: _batch(run, step), run.progress.step)) as batches:
        while not run.progress.finished:
            loss, logs = _step(run, next(batches))
            pending.append(loss)
            run.progress.step += 1
            run.progress.seconds = time.monotonic() - clock
            spent = run.spent
            due = int(min(spent, 1.0) * run.config.validations) > run.progress.validations or spent >= 1
            stopping = _any(run, asked.by is not None or _over(began, stop_after))
            keep = run.progress.step % run.config.checkpoint_every == 0
            keep = keep or _any(run, time.monotonic() - saved > CHECKPOINT_SECONDS)
            if due or stopping or keep or len(pending) >= LOSSES_AT_ONCE:
                _report(run, hooks, pending, logs, spent)
            if due:
                _validate(run, hooks, spent)
            if keep or stopping or run.progress.finished:
                saved = time.monotonic()
                _save(run)
            if stopping and not run.progress.finished:
                break
    if run.fabric.is_global_zero:
        hooks.save(run.average, "last")
    run.fabric.barrier()
    if run.progress.finished:
        return "finished"
    return "stopped" if asked.by is None else ENDED_BY[asked.by]


def _batch(run: Run, step: int) -> Batch:
    rank, world = run.fabric.global_rank, run.fabric.world_size
    share = run.budget.spent(run.progress) if run.budget.steps is None else run.budget.at_step(step)
    stage = _divisible(run.config.stage(share), world)
    return make_batch(run.source, stage, run.seed, step, slice(rank, None, world))


def _divisible(stage: Stage, world: int) -> Stage:
    if stage.batch_size % world:
        raise ConfigError(
            "the batch cannot be shared evenly", got=f"batch_size {stage.batch_size} on {world} processes"
        )
    return stage


def _step(run: Run, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    state = np.random.SeedSequence([run.seed, run.progress.step, run.fabric.global_rank]).generate_state(2)
    torch.manual_seed(int(state[0]))  # dropout, so that it resumes exactly
    generator = torch.Generator().manual_seed(int(state[1]))
    lr = learning_rate(run.spent, run.config, run.progress.plateau_factor)
    for group in run.optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
    run.network.train()
    loss, logs = run.objective(run.network, _to(batch, run.fabric.device), generator)
    run.optimizer.zero_grad()
    run.fabric.backward(loss)
    if run.config.clip_norm:
        run.fabric.clip_gradients(run.network, run.optimizer, max_norm=run.config.clip_norm, error_if_nonfinite=False)
    run.optimizer.step()
    run.stepped(run.plain_network, run.spent)
    _update_average(run)
    return loss.detach(), logs


def _to(batch: Batch, device: torch.device) -> Batch:
    sigma = None if batch.sigma is None else batch.sigma.to(device, non_blocking=True)
    noisy, target = (side.to(device, non_blocking=True) for side in (batch.noisy, batch.target))
    return Batch(noisy, target, sigma, batch.referenced)


@torch.no_grad()
def _update_average(run: Run) -> None:
    """Move the average towards the weights; the decay grows from 0, so that the start is soon forgotten."""
    step = run.progress.step
    decay = min(run.config.ema, step / (step + 10))
    averages: list[Tensor] = list(run.average.parameters())
    weights: list[Tensor] = list(run.plain_network.parameters())
    torch._foreach_lerp_(averages, weights, 1 - decay)
    for average, buffer in zip(run.average.buffers(), run.plain_network.buffers(), strict=True):
        average.copy_(buffer)


def _report(run: Run, hooks: Hooks, pending: list[Tensor], logs: dict[str, float], spent: float) -> None:
    loss = float(torch.stack(pending).mean())
    pending.clear()
    if not abs(loss) < RUNAWAY:  # nor is nan
        raise _diverged(run, f"a loss of {loss}")
    if run.fabric.is_global_zero:
        lr = run.optimizer.param_groups[0]["lr"]
        hooks.log(Status(run.progress.step, spent, run.progress.seconds, loss, lr, run.progress.best, logs))


def _diverged(run: Run, got: str) -> DivergedError:
    kept = run.folder / "best"
    fix = f"Lower training.lr (now {run.config.lr}), in another folder."
    fix += f" The best weights so far are kept in {kept}." if kept.exists() else ""
    return DivergedError(f"training diverged at step {run.progress.step}", got=got, fix=fix)


def _validate(run: Run, hooks: Hooks, spent: float) -> None:
    progress, score = run.progress, 0.0
    if run.fabric.is_global_zero:
        scores = hooks.validate(run.average)
        score = scores.psnr if scores.counts else min(scores.psnr, progress.best)
    score = run.fabric.broadcast(score)
    if math.isnan(score):
        raise _diverged(run, "a validation PSNR of nan")
    progress.validations = int(min(spent, 1.0) * run.config.validations)
    better = score > progress.best
    progress.best, progress.since_best = (score, 0) if better else (progress.best, progress.since_best + 1)
    if run.fabric.is_global_zero:
        if better:
            hooks.save(run.average, "best")
        lr = run.optimizer.param_groups[0]["lr"]
        hooks.scored(Status(progress.step, spent, progress.seconds, float("nan"), lr, progress.best), scores)
    if run.config.schedule == "plateau" and progress.since_best >= run.config.plateau_patience:
        progress.plateau_factor, progress.since_best = progress.plateau_factor * run.config.decay, 0
    stopped_early = 0 < run.config.early_stopping <= progress.since_best
    progress.finished = spent >= 1 or stopped_early


def _save(run: Run) -> None:
    if run.fabric.is_global_zero:
        states = {
            "network": run.plain_network.state_dict(),
            "average": run.average.state_dict(),
            "optimizer": run.optimizer.state_dict(),
        }
        save_checkpoint(run.checkpoints, run.progress, states)
    run.fabric.barrier()


def restore(run: Run) -> bool:
    """Continue from the newest checkpoint of the run folder; false where there is none.

    Raises:
        BundleError: there are checkpoints, and none can be read.
    """
    found = load_checkpoint(run.checkpoints)
    if found is None:
        return False
    run.progress, states = found
    run.plain_network.load_state_dict(states["network"])
    run.average.load_state_dict(states["average"])
    run.optimizer.load_state_dict(states["optimizer"])
    return True


def _over(began: float, limit: float | None) -> bool:
    return limit is not None and time.monotonic() - began >= limit


def _any(run: Run, here: bool) -> bool:
    """Whether the first process says so: clocks and signals differ between processes."""
    decided: bool = run.fabric.broadcast(here)
    return decided
