"""noiseless train and finetune, as people mistype them: one line, and nothing is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.__main__ import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("clean").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (48, 48), np.uint8)
        noiseless.write(f"clean/{number}.png", noiseless.Image.from_array(pixels))
    Path("file").touch()
    return tmp_path


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the line that was said; nothing is left in the folder."""
    code = main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert {path.name for path in Path().iterdir()} == {"clean", "file"}
    return code, line


NOISE = ["--noise", "gaussian:25"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--clean", "clean", "--steps", "2"], "clean images need a noise model. Add --noise"),
        (["--clean", "clean", "--noise", "no.json", "--steps", "2"], "cannot read the noise model no.json"),
        (["--steps", "2"], "a run needs one source of images: got none"),
        (["--clean", "gone", *NOISE, "--steps", "2"], "gone does not exist"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "start=gray-smal"], "Did you mean gray-small"),
        (
            ["--clean", "clean", *NOISE, "--steps", "2", "--network", "unet_nano", "--set", "start=gray-small"],
            "the weights of gray-small do not fit the network",
        ),
        (["--clean", "clean", *NOISE], "how long to train is not said"),
        (["--clean", "clean", *NOISE, "--steps", "0"], "steps must be positive: got 0"),
        (["--clean", "clean", *NOISE, "--minutes", "nan"], "minutes must be positive: got nan"),
        (["--clean", "clean", *NOISE, "--minutes", "0"], "minutes must be positive"),
        (["--clean", "clean", *NOISE, "--epochs", "-1"], "epochs must be positive: got -1"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--stop-after", "-1"], "stop_after (--stop-after) must be"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "data.data_range=9,1"], "data_range is empty"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "data.data_range=1,2,3"], "expected one number or two"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "data_range=9"], "Did you mean data.data_range"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "seed=-1"], "seed does not fit: got -1"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.lr=-1"], "training.lr does not fit: got -1"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.ema=2"], "got 2.0, expected 0 to 1"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.batch_size=0"], "training.batch_size does"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.stages=[[0, 0, 4]]"], "stages: patch_size"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.optimizer=adan"], "Did you mean adam"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "training.schedule=cos"], "unknown schedule"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "arguments.width=8"], "has no argument 'width'"),
        (["--clean", "clean", *NOISE, "--steps", "2", "--set", "arguments.kernel_size=x"], "cannot be built with"),
    ],
)
def test_mistakes_in_training(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = mistake(["train", "-o", "run", *arguments], capsys)
    assert code == 2
    assert says in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--method", "lora", "--prompt", "ct"], "--prompt names what --method prompt learns: got --method lora"),
        (["--keep-data", "clean"], "--keep-data is for --keep"),
        (["--keep", "lwf", "--set", "keep.strength=-1"], "keep.strength does not fit: got -1"),
        (["--set", "method.rank=0"], "method.rank does not fit: got 0, expected 1 or more"),
        (["--set", "arguments.widht=8"], "Did you mean widths"),
        (["--set", "method.freeze=*"], "this network has nothing that freeze=* leaves for the method lora to train"),
        (["--set", "method.freeze=encodr.*"], "method.freeze=encodr.* names no weight of the network: expected "),
        (["--method", "norm"], "this network has nothing for the method norm to train. Take lora or full."),
    ],
)
def test_mistakes_in_finetuning(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["finetune", "gray-nano", "-o", "run", "--clean", "clean", *NOISE, "--steps", "2", *arguments]
    code, line = mistake(given, capsys)
    assert code == 2
    assert says in line


def test_a_run_folder_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    for output in ("file", "file/run"):
        code, line = mistake(["train", "-o", output, "--clean", "clean", *NOISE, "--steps", "2"], capsys)
        assert code == 1
        assert f"cannot make the folder {output}: got a file of the name file" in line


def test_a_run_that_leaves_before_it_validates_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--set", "training.batch_size=1", "--set", "training.patch_size=16", "--set", "training.precision=float32"]
    train = ["train", "--clean", "clean", *NOISE, "--network", "unet_nano", "--steps", "900", "--stop-after", "0.0001"]
    assert main([*train, *tiny, "-o", "run"]) == 0
    assert "go on with the same command and --resume; not validated yet" in capsys.readouterr().out
    assert "- Best validation PSNR: not measured yet" in Path("run/last/README.md").read_text()

    def no_number(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    assert json.loads(Path("run/last/train.json").read_text(), parse_constant=no_number)["best_psnr"] is None
