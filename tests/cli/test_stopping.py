"""Exit codes of long work that is stopped: 130 by Ctrl-C, 143 by SIGTERM, 0 where the command said when to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import noiseless
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.finetuning.run import FinetuningOutcome
from noiseless.training.interrupt import interruptible
from noiseless.training.loop import ENDED_BY
from noiseless.training.run import Outcome
from noiseless.training.state import Ending

TINY = ["--set", "training.batch_size=1", "--set", "training.patch_size=16", "--set", "training.precision=float32"]
LEARN = ["--clean", "clean", "--noise", "gaussian:25", "--steps", "900", *TINY, "-o", "run"]
TRAIN = ["train", "--network", "unet_nano", *LEARN]
FINETUNE = ["finetune", "gray-nano", *LEARN]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clean").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8)
        noiseless.write(f"clean/{number}.png", noiseless.Image.from_array(pixels))


@pytest.fixture
def stop_by(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, int], None]]:
    """Have a signal sent when a verb first says how far it is, as to a command that a shell runs in the foreground."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)

    def arrange(verb: str, number: int) -> None:
        sent: list[int] = []

        def step(amount: float = 1, /, *, note: str = "") -> None:
            if not sent:
                sent.append(number)
                signal.raise_signal(number)

        @contextmanager
        def progress(label: str, total: float) -> Iterator[Callable[..., None]]:
            yield step
            assert sent

        monkeypatch.setattr(f"noiseless.cli.{verb}.progress", progress)

    yield arrange
    signal.signal(signal.SIGINT, usual)


def test_a_run_that_is_stopped_can_go_on_and_says_so_by_its_code(
    stop_by: Callable[[str, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    stop_by("train", signal.SIGINT)
    assert main(TRAIN) == 130
    printed = capsys.readouterr()
    assert "Interrupted at step" in printed.out
    assert printed.err.splitlines()[-1] == "noiseless: stopped by Ctrl-C"
    assert list(Path("run/checkpoints").glob("step-*.pt"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_which_signal_stopped_a_run(number: signal.Signals) -> None:
    usual = signal.getsignal(number)
    with interruptible() as asked:
        assert asked.by is None
        signal.raise_signal(number)
        assert asked.by == number
        assert ENDED_BY[asked.by] in ("interrupted", "terminated")
    assert signal.getsignal(number) is usual


@pytest.mark.parametrize(
    ("ending", "code"), [("finished", 0), ("stopped", 0), ("interrupted", 130), ("terminated", 143)]
)
def test_codes_of_a_run(ending: Ending, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`stopped` is by --stop-after, and `finished` by --minutes: what was asked for."""
    outcome = Outcome(ending, Path("run"), 30.0, 20.0, 9, 1.0, start_psnr=29.0)
    adapted = FinetuningOutcome(outcome, SimpleNamespace(model="gray-nano"), "lora", 1, 2, None)  # type: ignore[arg-type]
    monkeypatch.setattr("noiseless.training.run.run_training", lambda *arguments, **options: outcome)
    monkeypatch.setattr("noiseless.finetuning.run.run_finetuning", lambda *arguments, **options: adapted)
    assert main(TRAIN) == main(FINETUNE) == code


@pytest.mark.parametrize(
    "arguments",
    [["denoise", "clean", "-o", "out"], ["evaluate", "--clean", "clean", "--noise", "gaussian:25"]],
    ids=["denoise", "evaluate"],
)
def test_work_on_many_images(
    arguments: list[str],
    conditioned_bundle: Bundle,
    stop_by: Callable[[str, int], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = [*([] if arguments[0] == "evaluate" else ["--model"]), str(conditioned_bundle.path)]
    stop_by(arguments[0], signal.SIGINT)
    assert main([arguments[0], *model, *arguments[1:]] if arguments[0] == "evaluate" else [*arguments, *model]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "noiseless: stopped by Ctrl-C"
