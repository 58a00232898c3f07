"""noiseless denoise, as people type it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import noiseless
import tiny_models
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.cli.denoise import Rare, load_options, noise_level, size_in_bytes
from noiseless.cli.options import data_range
from noiseless.denoiser import load
from noiseless.errors import ConfigError, SpecError
from noiseless.noise import Gaussian, Poisson


@pytest.fixture
def model(conditioned_bundle: Bundle) -> list[str]:
    return ["--model", str(conditioned_bundle.path), "--set", "threads=1"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "scans/b.png", "scans/inner/c.tif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        values = (255 * tiny_models.noisy(24, 32).clip(0, 1)).astype(np.uint8)
        noiseless.write(name, noiseless.Image.from_array(values))
    return tmp_path


def test_one_file(model: list[str]) -> None:
    assert main(["denoise", "a.png", "-o", "out.png", "--sigma", "25", *model]) == 0
    expected = load(model[1])(noiseless.read("a.png").array, noise="gaussian:25")
    assert np.array_equal(noiseless.read("out.png").array, expected)


def test_a_folder_with_its_folders(model: list[str]) -> None:
    assert main(["denoise", "scans", "-r", "-o", "out", *model]) == 0
    assert Path("out/b.png").is_file()
    assert Path("out/inner/c.tif").is_file()


def test_a_pattern_and_skipping(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["denoise", "scans/*.png", "a.png", "-o", "out", "--skip-existing", "--sigma", "15", *model]
    assert main(arguments) == 0
    assert {path.name for path in Path("out").iterdir()} == {"a.png", "b.png"}
    capsys.readouterr()
    assert main(arguments) == 0
    assert "2 skipped" in capsys.readouterr().err


def test_a_pipe(model: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    into = SimpleNamespace(buffer=io.BytesIO(Path("a.png").read_bytes()))
    out = SimpleNamespace(buffer=io.BytesIO(), write=pytest.fail, flush=lambda: None)
    monkeypatch.setattr(sys, "stdin", into)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        assert main(["denoise", "-", "-o", "-", "--sigma", "25", *model]) == 0
    expected = load(model[1])(noiseless.read("a.png").array, noise="gaussian:25")
    assert np.array_equal(noiseless.read(io.BytesIO(out.buffer.getvalue())).array, expected)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_a_pipe_with_a_name(model: list[str]) -> None:
    """As the shell makes one of ``<(command)``: whoever looks what it begins like takes that from it."""
    os.mkfifo("named")
    writer = threading.Thread(target=Path("named").write_bytes, args=(Path("a.png").read_bytes(),), daemon=True)
    writer.start()
    assert main(["denoise", "named", "-o", "out.png", "--sigma", "25", *model]) == 0
    assert main(["denoise", "a.png", "-o", "expected.png", "--sigma", "25", *model]) == 0
    assert np.array_equal(noiseless.read("out.png").array, noiseless.read("expected.png").array)


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_what_stands_beside_images_is_told(model: list[str], capsys: pytest.CaptureFixture[str], given: str) -> None:
    Path("scans/moving.gif").write_bytes(b"GIF89a")
    Path("scans/notes.txt").write_text("of no interest")
    assert main(["denoise", given, "-o", "out", *model]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert told == ["left out, as no image that is read from a folder: 1 file, 1 of them a GIF: scans/moving.gif"]
    assert {path.name for path in Path("out").iterdir()} == {"b.png"}


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_what_is_no_image_but_is_called_one_is_a_failure(
    model: list[str], capsys: pytest.CaptureFixture[str], given: str
) -> None:
    Path("scans/0.png").write_bytes(b"")
    Path("scans/1.TIF").write_bytes(b"rubbish")
    Path("scans/gone.png").symlink_to("nowhere.png")
    Path("scans/round.png").symlink_to("round.png")
    assert main(["denoise", given, "-o", "out", "--json", "s.json", *model]) == 2
    errors = capsys.readouterr().err
    assert "4 of 5 could not be denoised:" in errors
    assert "scans/gone.png does not exist" in errors
    assert "cannot open scans/round.png" in errors
    assert "scans/0.png is empty" in errors
    assert "scans/1.TIF is not an image" in errors
    assert {path.name for path in Path("out").iterdir()} == {"b.png"}
    assert len(json.loads(Path("s.json").read_text())["failures"]) == 4


def test_an_image_of_a_kind_that_is_not_read_is_told_as_what_it_is(
    model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("moving.gif").write_bytes(b"GIF89a")
    for output in ("out", "b.png"):
        assert main(["denoise", "moving.gif", "-o", output, *model]) == 2
        assert "moving.gif is a GIF file, which is not supported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("feather=nan", "0 or more"), ("feather=-1", "0 or more"), ("temporal=-1", "0 to 8"), ("threads=0", "1 or more")],
)
def test_settings_out_of_their_range_are_told(
    model: list[str], capsys: pytest.CaptureFixture[str], setting: str, expected: str
) -> None:
    assert main(["denoise", "a.png", "-o", "b.png", *model, "--set", setting]) == 2
    assert f"expected {expected}" in capsys.readouterr().err


def test_the_image_and_the_numbers_do_not_share_a_pipe(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["denoise", "a.png", "-o", "-", "--json", "-", *model]) == 2
    said = capsys.readouterr()
    assert "cannot both go into the pipe" in said.err
    assert not said.out


def test_a_bad_file_is_listed_at_the_end(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_bytes(b"rubbish")
    assert main(["denoise", "a.png", "bad.png", "gone.png", "-o", "out", "--json", "s.json", *model]) == 2
    errors = capsys.readouterr().err
    assert "2 of 3 could not be denoised:" in errors
    assert "bad.png is not an image" in errors
    assert "gone.png does not exist" in errors
    assert Path("out/a.png").is_file()
    summary = json.loads(Path("s.json").read_text())
    assert [len(summary[key]) for key in ("results", "failures")] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gone.png", "-o", "x.png"], "gone.png does not exist"),
        (["a.png", "-o", "a.png"], "a.png would be overwritten"),
        (["a.png", "-o", "x.gif"], "suffix '.gif'. Known: .avif, .bmp, "),
        (["a.png", "-o", "x.pngg"], "Did you mean .png?"),
        (["gone.mp4", "-o", "x.mkv"], "gone.mp4 does not exist"),
        (["a.png", "-o", "x.png", "--sigma", "25", "--noise", "gaussian:25"], "twice"),
        (["a.png", "-o", "x.png", "--noise", "gaussian:0-55"], "a range is no noise level"),
        (["a.png", "-o", "x.png", "--noise", "gausian:25"], "Did you mean gaussian"),
        (["a.png", "-o", "x.png", "--noise", "gone.json"], "gone.json: got No such file or directory"),
        (["a.png", "-o", "x.png", "--strength", "2"], "strength does not fit"),
        (["a.png", "-o", "x.png", "--adapter-strength", "0.5"], "Name its file: --adapter FILE"),
        (["a.png", "-o", "x.png", "--adapter", "gone", "--adapter-strength", "2"], "adapter strength does not fit"),
        (["a.png", "-o", "x.png", "--set", "temporal=9"], "temporal does not fit: got 9, expected 0 to 8"),
        (["a.png", "-o", "x.png", "--json", "a.png/s.json"], "cannot write a.png/s.json"),
        (["a.png", "-o", "x.png", "--set", "tiles=3"], "Did you mean tile"),
        (["a.png", "-o", "x.png", "--set", "engine=onnx"], "Did you mean onnxruntime"),
        (["a.png", "-o", "x.png", "--max-memory", "lots"], "a size such as 2GB"),
        (["a.png", "-o", "x.png", "--max-memory", "1MB"], "Raise --max-memory"),
        (["a.png", "-o", "x.png", "--model", "gray-smal"], "unknown model"),
        (["a.png", "-o", "none/x/y"], None),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], line: str | None, model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["denoise", *arguments, *([] if "--model" in arguments else model)])
    printed = capsys.readouterr().err
    errors = [text for text in printed.splitlines() if text.startswith("noiseless:")]
    if line is None:
        assert (code, errors) == (0, [])
        return
    assert code in (1, 2)
    assert len(errors) == 1
    assert line in errors[0]
    assert "Denoising: 100%" not in printed
    assert not Path("x.png").exists()


def test_what_does_not_fit_is_told_once_and_not_for_every_file(
    model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in (["--strength", "2"], ["--set", "luma=3"]):
        assert main(["denoise", "scans", "a.png", "-o", "out", *wrong, *model]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_told_once_with_what_to_do(
    model: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for inputs in (["a.png", "-o", "out.png"], ["scans", "-r", "-o", "out"]):
        assert main(["denoise", *inputs, "--set", "device=cuda", *model]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("noiseless: device 'cuda' cannot be used: got PyTorch ")
        assert ", expected auto or cpu. Leave device out: auto takes a GPU where PyTorch finds one" in line


def test_what_became_of_each_file_may_go_into_a_pipe(model: list[str]) -> None:
    os.mkfifo("pipe")
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(Path("pipe").read_text)
        assert main(["denoise", "a.png", "-o", "out.png", "--json", "pipe", *model]) == 0
        assert [each["output"] for each in json.loads(read.result(60))["results"]] == ["out.png"]
    assert Path("pipe").is_fifo()


def test_a_file_that_fails_is_named_once(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["denoise", "a.png", "gone.png", "-o", "out", *model]) == 2
    assert "  gone.png does not exist. Check the path.\n" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_fails_at_work(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["denoise", "a.png", "-o", "a.png/x.png", *model]) == 1
    assert "cannot make the folder a.png" in capsys.readouterr().err


def test_int8_without_a_graph_says_so(model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["denoise", "a.png", "-o", "x.png", "--precision", "int8", *model]) == 0
    assert "int8 precision is not available (tiny-gray has no int8 graph)" in capsys.readouterr().out


def test_plain_lines_where_there_is_no_terminal(model: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "noiseless", "denoise", "a.png", "-o", "x.png", *model],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    assert "Denoising: 100%" in done.stderr
    assert "\x1b" not in done.stderr


def test_neither_torch_nor_scipy_is_imported(model: list[str]) -> None:
    code = "import sys; from noiseless.__main__ import main; main(sys.argv[1:]); print([n for n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code, "denoise", "a.png", "-o", "x.png", *model],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'onnxruntime'" in done.stdout
    for name in ("torch", "scipy", "tifffile", "rich", "openvino"):
        assert f"'{name}'" not in done.stdout, f"{name} makes a cold start slow"


def test_the_level_may_be_auto_text_a_number_or_a_file() -> None:
    assert noise_level(None, None) == "auto"
    assert noise_level("auto", None) == "auto"
    assert noise_level(None, 25.5) == Gaussian(sigma=0.1)
    assert noise_level("poisson:gain=0.01", None) == Poisson(gain=0.01)
    Path("noise.json").write_text(json.dumps(Gaussian(sigma=0.1).to_dict()))
    assert noise_level("noise.json", None) == Gaussian(sigma=0.1)
    Path("report.json").write_text(json.dumps({"noise": Gaussian(sigma=0.2).to_dict(), "images": 3}))
    assert noise_level("report.json", None) == Gaussian(sigma=0.2)
    for text in ("[1]", "{", '{"a": 1}'):
        Path("bad.json").write_text(text)
        with pytest.raises(SpecError):
            noise_level("bad.json", None)
    with pytest.raises(SpecError, match="cannot read"):
        noise_level("gone.json", None)


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2e9), ("500 MB", 5e8), ("1.5GiB", 1.5 * 2**30), ("1000", 1000), ("3k", 3000), ("64MiB", 2**26)],
)
def test_sizes(text: str, size: float) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "two", "1.2.3MB", "5XB", "-1GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="--max-memory"):
        size_in_bytes(text)


def test_ranges() -> None:
    assert data_range(()) is None
    assert data_range((4095.0,)) == 4095
    assert data_range((-1000.0, 3000.0)) == (-1000, 3000)
    with pytest.raises(ConfigError, match="data_range"):
        data_range((1.0, 2.0, 3.0))


def test_rare_controls_reach_the_model() -> None:
    options = load_options(Rare(tile=64, engine="torch", ensemble=True, luma=0.5), "fast", "2GB")
    controls = options.pop("controls")
    assert (controls.tile, controls.max_memory, controls.ensemble, controls.luma) == (64, 2e9, True, 0.5)
    assert options == {"precision": "fast", "engine": "torch", "device": "auto", "threads": None}
    with pytest.raises(ConfigError, match="threads does not fit: got 0"):
        load_options(Rare(threads=0), "exact", None)
