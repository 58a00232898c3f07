"""Denoising files: read, choose the model, restore, mark, write; one bad file does not stop the others."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from noiseless.errors import Cancelled, ImageError, NoiselessError, OutputError, SigmaError
from noiseless.image import DataRange, Image
from noiseless.io import check_fits, denoised_mark, formats, read, with_denoised_mark, write
from noiseless.workflows.files import Failure, Job

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from noiseless.denoiser import Denoiser
    from noiseless.noise import Noise

Say = Callable[[str], None]
Report = Callable[[float, str], None]
"""Told the share of all files that is done, 0 to 1, and the name of the file in hand."""


@dataclass(frozen=True)
class Task:
    """What to do with each file.

    Attributes:
        model: as `noiseless.load` takes it, or ``"auto"``.
        noise: ``"auto"``, a noise model or its text.
        strength: 0 to 1.
        mask: image of where to denoise: white there, black elsewhere.
        feather: pixels over which the edge of a black and white mask fades, inwards.
        sigma_map: image of standard deviations, in [0, 1] units, instead of `noise`.
        data_range: of the images; by their files where ``None``.
        options: of `noiseless.load`: precision, engine, device, threads, controls.
        skip_existing: leave out images whose result is there.
        adapter: file of what fine-tuning changed; the model is then the one it names, or `model`.
        adapter_strength: 0 to 1, how much of that change is taken.
    """

    model: str = "auto"
    noise: str | Noise = "auto"
    strength: float = 1.0
    mask: Path | None = None
    feather: float = 8.0
    sigma_map: Path | None = None
    data_range: DataRange | None = None
    options: dict[str, Any] = field(default_factory=dict)
    skip_existing: bool = False
    adapter: str | None = None
    adapter_strength: float = 1.0


@dataclass
class Result:
    """What became of one file."""

    input: str
    output: str
    model: str = ""
    precision: str = ""
    sigma: list[float] | None = None
    seconds: float = 0.0
    skipped: bool = False


@dataclass
class Summary:
    """What became of all files.

    Attributes:
        results: of the files that were done or skipped.
        failures: the others.
        interrupted: Ctrl-C came before all were done.
    """

    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "results": [vars(result) for result in self.results],
            "failures": [{"input": failure.name, "error": str(failure.error)} for failure in self.failures],
            "interrupted": self.interrupted,
        }


class Restorer:
    """Denoises one image after another, loading each model once and saying things once.

    Args:
        task: what to do.
        say: told a line where there is something to know.
    """

    def __init__(self, task: Task, say: Say) -> None:
        self._task, self._say = task, say
        self._denoisers: dict[str, Denoiser] = {}
        self._said: set[str] = set()
        if task.adapter is not None or task.model != "auto":
            self._load(task.model)

    def __call__(
        self, image: Image, name: str, progress: Callable[[float], None], cancel: Callable[[], bool]
    ) -> tuple[Image, Result]:
        """The image, denoised and marked.

        Raises:
            NoiselessError: the image, its mask or its noise level does not fit.
        """
        task = self._task
        before = denoised_mark(image)
        if before is not None:
            self._say(f"{name} was denoised before ({before}); doing it again takes more detail away")
        model = self._denoiser_for(image)
        if not task.strength:
            return image, Result(name, "", model.name, model.engine.precision)
        planes = image.planes()
        noise = task.noise if task.sigma_map is None else _sigma_map(task.sigma_map, image)
        sigma = model.sigma(planes, noise)
        strength = task.strength if task.mask is None else task.strength * _mask(task.mask, image, task.feather)
        restored = model.planes(planes, sigma, strength=strength, progress=progress, cancel=cancel)
        done = with_denoised_mark(image.with_planes(restored), model.name, task.strength)
        return done, Result(name, "", model.name, model.engine.precision, _typical(sigma))

    @property
    def _told(self) -> bool:
        return self._task.noise != "auto" or self._task.sigma_map is not None

    def _denoiser_for(self, image: Image) -> Denoiser:
        if self._task.model in self._denoisers:  # named, or adapted
            return self._denoisers[self._task.model]
        from noiseless.denoiser import choose_model

        name, reason = choose_model(image, told=self._told)
        self._say_once(f"model {name}: {reason}")
        return self._denoisers.get(name) or self._load(name)

    def _load(self, name: str) -> Denoiser:
        model = self._denoisers[name] = self._open(name)
        if model.engine.note:
            self._say_once(model.engine.note)
        if self._told and not model.takes_sigma:
            self._say_once(f"{model.name} finds the noise level itself; the one given is not used")
        return model

    def _open(self, name: str) -> Denoiser:
        task = self._task
        if task.adapter is None:
            from noiseless.denoiser import load

            return load(name, **task.options)
        from noiseless.finetuning import load_adapter

        base = None if name == "auto" else name
        return load_adapter(task.adapter, base, strength=task.adapter_strength, **task.options)

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def restore_files(jobs: Sequence[Job], task: Task, *, say: Say, report: Report) -> Summary:
    """Denoise files one after another.

    Ctrl-C lets the file in hand be finished; a second one, or the first while the last file is in hand, stops at once.
    A result appears whole or not at all.

    Args:
        jobs: which file becomes which, see `plan_jobs`.
        task: what to do.
        say: told a line where there is something to know.
        report: told how far the work is.

    Raises:
        NoiselessError: the model cannot be used.
    """
    summary = Summary()
    restorer = Restorer(task, say)
    with _interruptible(say) as stop:
        for number, job in enumerate(jobs):
            if stop.after_this_file:
                break
            stop.last = number == len(jobs) - 1
            try:
                report_here = _within(report, number, len(jobs), job.name)
                summary.results.append(_restore_file(job, task, restorer, report_here, stop))
            except Cancelled:
                break
            except NoiselessError as error:
                summary.failures.append(Failure(job.name, error))
            report((number + 1) / len(jobs), job.name)
    summary.interrupted = stop.after_this_file
    return summary


def _restore_file(
    job: Job, task: Task, restorer: Restorer, progress: Callable[[float], None], stop: Interruption
) -> Result:
    target = "standard output" if job.target is None else str(job.target)
    if task.skip_existing and job.target is not None and job.target.exists():
        return Result(job.name, target, skipped=True)
    started = time.perf_counter()
    image = read(sys.stdin.buffer if job.source is None else job.source, data_range=task.data_range)
    if job.target is not None:
        check_fits(image, formats.by_suffix(job.target), target)
    done, result = restorer(image, job.name, progress, lambda: stop.now)
    if job.target is None:
        write(sys.stdout.buffer, done)
    else:
        _make_folder(job.target.parent)
        write(job.target, done)
    result.output, result.seconds = target, round(time.perf_counter() - started, 3)
    return result


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}", got=error.strerror) from error


def _within(report: Report, number: int, count: int, name: str) -> Callable[[float], None]:
    return lambda share: report((number + share) / count, name)


@dataclass
class Interruption:
    """What Ctrl-C asked for.

    Attributes:
        after_this_file: stop once the file in hand is done.
        now: stop at the next tile.
        last: whether the file in hand is the last one.
    """

    after_this_file: bool = False
    now: bool = False
    last: bool = False


@contextmanager
def _interruptible(say: Say) -> Iterator[Interruption]:
    """Ctrl-C sets flags instead of tearing a file apart; only where signals can be handled, in the main thread."""
    stop = Interruption()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.now = stop.after_this_file or stop.last
        stop.after_this_file = True
        if not stop.now:
            say("finishing the file in hand; press Ctrl-C again to stop at once")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, usual)


def _sigma_map(path: Path, image: Image) -> npt.NDArray[np.float32]:
    planes = read(path).planes()
    if planes.shape[-2:] != (image.height, image.width):
        raise SigmaError(
            f"the sigma map {path} does not fit the image",
            got=f"{planes.shape[-1]}x{planes.shape[-2]}",
            expected=f"{image.width}x{image.height}",
        )
    return planes


def _mask(path: Path, image: Image, feather: float) -> npt.NDArray[np.float32]:
    """Strength for each pixel, (H, W): the mask, its edge faded inwards where it is black and white."""
    import numpy as np

    mask: npt.NDArray[np.float32] = read(path).planes()[0].mean(0).clip(0, 1)
    if mask.shape != (image.height, image.width):
        raise ImageError(
            f"the mask {path} does not fit the image",
            got=f"{mask.shape[1]}x{mask.shape[0]}",
            expected=f"{image.width}x{image.height}",
        )
    if feather <= 0 or not np.isin(mask, (0, 1)).all() or mask.all():
        return mask
    from scipy.ndimage import distance_transform_edt

    depth = np.minimum(distance_transform_edt(mask) / (feather + 1), 1)
    faded: npt.NDArray[np.float32] = (depth * depth * (3 - 2 * depth)).astype(np.float32)
    return faded


def _typical(sigma: npt.NDArray[np.float32] | None) -> list[float] | None:
    """The level of each channel on the 0-255 scale, in the mean over planes and pixels."""
    import numpy as np

    if sigma is None:
        return None
    full = np.asarray(sigma).reshape((1,) * (4 - np.ndim(sigma)) + np.shape(sigma))
    return [round(255 * float(level), 2) for level in full.mean((0, 2, 3))]
