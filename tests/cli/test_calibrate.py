"""noiseless calibrate: lines, files and errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from noiseless.__main__ import main
from noiseless.cli.denoise import noise_level
from noiseless.noise import Gaussian, parse
from shaded_scenes import as_8_bit, scene


def save(path: Path, spec: str, seed: int = 0) -> str:
    image = parse(spec).sample(scene(120)[0], np.random.default_rng(seed))
    Pillow.fromarray(np.rint(as_8_bit(image) * 255).astype(np.uint8)).save(path)
    return str(path)


def test_json_is_what_denoise_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, file, pages = save(tmp_path / "a.png", "gaussian:20"), tmp_path / "noise.json", tmp_path / "pages"
    assert main(["calibrate", image, "--json", str(file), "--report", str(pages)]) == 0
    printed = capsys.readouterr().out
    assert "White noise of the same strength everywhere, from one image" in printed
    noise = noise_level(str(file), None)
    assert isinstance(noise, Gaussian)
    assert noise.sigma == pytest.approx(20 / 255, rel=0.1)
    plain = json.loads(file.read_text("utf-8"))
    low, high = plain["channels"][0]["sigma_interval"]
    assert low < 20 / 255 < high
    page = (pages / "calibration.html").read_text("utf-8")
    assert page.count("<svg") == page.count("</svg>") == 2
    assert main(["denoise", image, "-o", str(tmp_path / "b.png"), "--noise", str(file)]) == 0
    assert np.asarray(Pillow.open(tmp_path / "b.png")).std() < np.asarray(Pillow.open(image)).std()


@pytest.mark.parametrize("numbers", [["--json", "-"], ["--json=-"]])
def test_numbers_alone_go_through_a_pipe_or_to_the_end_of_a_file(tmp_path: Path, numbers: list[str]) -> None:
    """A file of the name - was made."""
    image, log = save(tmp_path / "a.png", "gaussian:20"), tmp_path / "log"
    command = [sys.executable, "-m", "noiseless", "calibrate", image, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout)["noise"]["kind"] == "gaussian"
    assert "White noise of the same strength everywhere" in done.stderr
    log.write_text("before\n")
    with log.open("a") as file:
        subprocess.run(command, stdout=file, stderr=subprocess.DEVNULL, cwd=tmp_path, check=True)
    assert log.read_text() == f"before\n{done.stdout}"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "log"}


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="standard output has no name here")
def test_a_device_is_written_into(tmp_path: Path) -> None:
    """It was replaced by a file."""
    command = [sys.executable, "-m", "noiseless", "calibrate", save(tmp_path / "a.png", "gaussian:20")]
    done = subprocess.run([*command, "--json", "/dev/stdout"], capture_output=True, text=True, check=True)
    assert '"kind": "gaussian"' in done.stdout
    assert Path("/dev/stdout").is_symlink()


def test_folders_are_pooled_and_exposures_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        save(tmp_path / f"{seed}.png", "gaussian:10", seed)
    assert main(["calibrate", str(tmp_path)]) == 0
    assert "3 images together" in capsys.readouterr().out
    assert main(["calibrate", str(tmp_path / "*.png"), "--exposures"]) == 0
    assert "3 exposures of one scene" in capsys.readouterr().out


def test_what_is_called_an_image_and_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.png", "gaussian:10")
    (tmp_path / "notes.png").write_text("no image")
    assert main(["calibrate", str(tmp_path)]) == 0
    told = f"left out, as no image that is read from a folder: 1 file: {tmp_path / 'notes.png'}\n"
    assert capsys.readouterr().err == told


def test_a_mask_and_a_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, mask = save(tmp_path / "a.png", "gaussian:10"), tmp_path / "mask.png"
    Pillow.fromarray(np.zeros((120, 120), np.uint8)).save(mask)
    assert main(["calibrate", image, "--mask", str(mask)]) == 2
    assert "the mask leaves nothing" in capsys.readouterr().err
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.full((2, 120, 120), 255, np.uint8), photometric="minisblack")
    assert main(["calibrate", image, "--mask", str(stack)]) == 2
    assert "got 2 planes, expected one" in capsys.readouterr().err
    assert main(["calibrate", image, "--set", "data_range=510"]) == 0
    level = re.search(r"level ([\d.]+) of 255", capsys.readouterr().out)
    assert level is not None
    assert float(level[1]) == pytest.approx(5, rel=0.1)


def test_a_constant_image_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pillow.fromarray(np.full((50, 50), 90, np.uint8)).save(tmp_path / "grey.png")
    assert main(["calibrate", str(tmp_path / "grey.png")]) == 0
    assert "nothing can be said" in capsys.readouterr().out


def test_a_truncated_image_is_named_and_the_others_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended the measurement of all."""
    images, file = [save(tmp_path / f"{seed}.png", "gaussian:10", seed) for seed in range(3)], tmp_path / "noise.json"
    Path(images[1]).write_bytes(Path(images[1]).read_bytes()[:3000])
    assert main(["calibrate", str(tmp_path), "--json", str(file)]) == 2
    printed = capsys.readouterr()
    assert "2 images together" in printed.out
    assert json.loads(file.read_text("utf-8"))["images"] == 2
    assert printed.err.startswith(f"1 of 3 could not be read:\n  cannot read {images[1]}: ")
    assert main(["calibrate", images[1]]) == 2
    assert capsys.readouterr().err.startswith(f"noiseless: cannot read {images[1]}: ")


def test_a_range_says_what_floats_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Floats that need one were refused with the advice to give it, given or not."""
    tifffile.imwrite(tmp_path / "counts.tif", (1000 * scene(120)[0]).astype(np.float32))
    assert main(["calibrate", str(tmp_path / "counts.tif")]) == 2
    assert "--set data_range=" in capsys.readouterr().err
    assert main(["calibrate", str(tmp_path / "counts.tif"), "--set", "data_range=1000"]) == 0


def test_an_image_is_no_place_for_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the shell made of ``--json *.png`` was overwritten."""
    images = [save(tmp_path / f"{seed}.png", "gaussian:10", seed) for seed in range(2)]
    before = Path(images[0]).read_bytes()
    assert main(["calibrate", "--json", *images]) == 1
    assert capsys.readouterr().err == f"noiseless: the image {images[0]} would be overwritten. Name another file.\n"
    assert Path(images[0]).read_bytes() == before


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text")
def test_names_that_are_no_text_are_printed_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That was an internal error, as were names that the encoding of a terminal does not have."""
    file = tmp_path / os.fsdecode(b"\xff.json")
    assert main(["calibrate", save(tmp_path / "a.png", "gaussian:10"), "--json", str(file)]) == 0
    assert f"Noise: {tmp_path}/\\udcff.json" in capsys.readouterr().out
    assert file.is_file()


def test_what_is_no_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(tmp_path / "no.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
@pytest.mark.parametrize(("numbers", "what"), [(["--json", "-"], "into standard output"), ([], "cannot write")])
def test_a_full_disk_behind_what_is_printed_is_said(tmp_path: Path, numbers: list[str], what: str) -> None:
    command = [sys.executable, "-m", "noiseless", "calibrate", save(tmp_path / "a.png", "gaussian:20"), *numbers]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("noiseless: ")
    assert what in last
    assert last.endswith("Free some space on the disk.")
