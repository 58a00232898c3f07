"""noiseless evaluate: numbers, files and errors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import tiny_runs
from noiseless.__main__ import main
from noiseless.cli.options import noise_spec
from noiseless.noise import parse


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """Three grey pictures."""
    for number, picture in enumerate(tiny_runs.pictures(3, seed=5, size=64)):
        path = tmp_path / "photos" / f"{'ab'[number % 2]}{number}.png"
        path.parent.mkdir(exist_ok=True)
        Pillow.fromarray(picture[0]).save(path)
    return tmp_path / "photos"


@pytest.fixture
def pairs(tmp_path: Path) -> list[str]:
    """Two pairs of one folder, told apart by name."""
    generator = np.random.default_rng(0)
    for number, picture in enumerate(tiny_runs.pictures(2, seed=6, size=48)):
        noisy = np.rint((picture[0] + generator.normal(0, 8, picture[0].shape)).clip(0, 255)).astype(np.uint8)
        Pillow.fromarray(picture[0]).save(tmp_path / f"{number}_mean.png")
        Pillow.fromarray(noisy).save(tmp_path / f"{number}_real.png")
    return [str(tmp_path / "*_real.png"), str(tmp_path / "*_mean.png")]


def numbers(path: Path) -> dict:
    """What ``--json`` wrote."""
    return json.loads(path.read_text("utf-8"))


def test_what_is_called_an_image_and_is_none_is_told_and_the_others_go_on(
    clean: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clean / "notes.png").write_text("no image")
    assert main(["evaluate", "identity", "--clean", str(clean), "--noise", "gaussian:25"]) == 0
    told = f"3 images; left out, as no image that is read from a folder: 1 file: {clean / 'notes.png'}"
    assert told in capsys.readouterr().out.splitlines()


def test_tables_json_and_report(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = ["--json", str(tmp_path / "new" / "n.json"), "--report", str(tmp_path / "pages")]
    options = ["--clean", str(clean), "--noise", "gaussian:25", "--group", "/([ab])", "--seed", "7"]
    assert main(["evaluate", "median", "identity", *options, *outputs]) == 0
    plain = numbers(tmp_path / "new" / "n.json")
    assert plain["protocol"]["seed"] == 7
    assert plain["protocol"]["noise"] == "gaussian:25"
    assert [row["model"] for row in plain["results"]] == ["median", "identity"]
    median, identity = plain["results"]
    assert median["psnr"]["mean"] > identity["psnr"]["mean"] + 3
    assert set(median["groups"]) == {"a", "b"}
    assert identity["difference"]["to"] == "median"
    assert identity["difference"]["mean"] == pytest.approx(identity["psnr"]["mean"] - median["psnr"]["mean"])
    printed = capsys.readouterr()
    assert f"{median['psnr']['mean']:.2f}" in printed.out
    assert "(worst)" in printed.out
    assert "gaussian:25, seed 7" in printed.out  # the protocol comes with the numbers
    assert "\x1b" not in printed.out + printed.err
    assert "Measuring: 100%" in printed.err
    page = (tmp_path / "pages" / "report.html").read_text("utf-8")
    assert "median" in page
    assert page.count('class="compare"') == 3


def test_pairs_of_one_folder(pairs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "median", "--pairs", *pairs, "--json", str(tmp_path / "n.json")]) == 0
    protocol = numbers(tmp_path / "n.json")["protocol"]
    assert (protocol["noise"], protocol["told"], protocol["quantisation"]) == (None, "auto", "8-bit")
    float_options = ["--set", "quantise=false", "--limit", "1"]
    assert main(["evaluate", "median", "--pairs", *pairs, *float_options, "--json", str(tmp_path / "f.json")]) == 0
    protocol = numbers(tmp_path / "f.json")["protocol"]
    assert (protocol["count"], protocol["quantisation"]) == (1, "none")
    assert "2 pairs" in capsys.readouterr().out


@pytest.fixture
def exposures(tmp_path: Path) -> list[Path]:
    """Two folders of noisy images of the same three pictures."""
    generator = np.random.default_rng(4)
    folders = [tmp_path / "first", tmp_path / "second"]
    for number, picture in enumerate(tiny_runs.pictures(3, seed=5, size=96)):
        for folder in folders:
            folder.mkdir(exist_ok=True)
            noisy = np.rint((picture[0] + generator.normal(0, 15, picture[0].shape)).clip(0, 255)).astype(np.uint8)
            Pillow.fromarray(noisy).save(folder / f"{number}.png")
    return folders


def test_noisy_images_alone(exposures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--noise", "gaussian:15", "--limit", "2", "--seed", "3", "--json", str(tmp_path / "new" / "n.json")]
    options += ["--report", str(tmp_path / "pages")]
    assert main(["evaluate", "gray-small", "identity", "--noisy", str(exposures[0]), *options]) == 0
    plain = numbers(tmp_path / "new" / "n.json")
    assert plain["protocol"] == {"method": "Stein", "noise": "gaussian:15", "seed": 3, "count": 2}
    assert [row["model"] for row in plain["results"]] == ["gray-small", "identity"]
    network, identity = plain["results"]
    assert network["estimated_psnr"]["low"] > identity["estimated_psnr"]["mean"]
    assert identity["estimated_psnr"]["mean"] == pytest.approx(identity["images"][0]["noisy"], abs=1)
    printed = capsys.readouterr()
    assert f"{network['estimated_psnr']['mean']:.2f}" in printed.out
    assert "estimated without clean images, by Stein's formula, seed 3" in printed.out
    assert "1.png, gray-small: looks like noise" in printed.out
    assert identity["images"][0]["audit"]["verdict"] == "nothing removed"
    assert "nothing removed" in (tmp_path / "pages" / "report.html").read_text("utf-8")
    assert len(list((tmp_path / "pages" / "maps").iterdir())) == 4
    assert "Measuring: 100%" in printed.err


def test_what_cannot_be_measured_is_named_and_the_others_go_on(
    exposures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"constant": np.full((64, 64), 90, np.uint8), "clipped": np.full((64, 64), 255, np.uint8)}
    bad["tiny"] = np.array([[3, 9, 1], [7, 2, 5]], np.uint8)
    for name, array in bad.items():
        Pillow.fromarray(array).save(exposures[0] / f"{name}.png")
    np.save(exposures[0] / "nan.npy", np.full((64, 64), np.nan, np.float32))
    (exposures[0] / "broken.png").write_bytes((exposures[0] / "0.png").read_bytes()[:200])
    outputs = ["--json", str(tmp_path / "n.json"), "--report", str(tmp_path / "pages")]
    command = ["evaluate", "gray-small", "identity", "--noisy", str(exposures[0])]
    assert main([*command, *outputs]) == 2
    plain, printed = numbers(tmp_path / "n.json"), capsys.readouterr()
    assert plain["protocol"]["count"] == 3
    assert [len(row["images"]) for row in plain["results"]] == [3, 3]
    assert "5 of 8 could not be measured:" in printed.err
    page = (tmp_path / "pages" / "report.html").read_text("utf-8")
    reasons = {f"{name}.png": "no noise can be measured" for name in bad}
    reasons |= {"nan.npy": "NaN", "broken.png": "broken.png"}
    for name, reason in reasons.items():
        (line,) = [line for line in printed.err.splitlines() if line.startswith(f"  first/{name}: ")]
        assert reason in line
        assert reason in plain["left_out"][f"first/{name}"]
        assert f"{name} left out: " in page
    assert "Measuring: 100%" in printed.err
    for number in range(3):
        (exposures[0] / f"{number}.png").unlink()
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Measuring")]
    assert "nothing can be said of any of the 5 images: got " in line
    assert line.count("first/broken.png") == 1


def test_two_exposures(exposures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [str(folder) for folder in exposures]
    assert main(["evaluate", "gray-small", "--noisy-pairs", *pair, "--json", str(tmp_path / "n.json")]) == 0
    plain = numbers(tmp_path / "n.json")
    assert (plain["protocol"]["method"], plain["protocol"]["count"]) == ("two exposures", 3)
    printed = capsys.readouterr().out
    assert "3 pairs" in printed
    assert "each the target of the other" in printed
    Pillow.fromarray(tiny_runs.pictures(1, seed=9, size=96)[0][0]).save(exposures[1] / "1.png")
    assert main(["evaluate", "gray-small", "--noisy-pairs", *pair, "--json", str(tmp_path / "n.json")]) == 2
    assert numbers(tmp_path / "n.json")["protocol"]["count"] == 2
    assert "  first/1.png: these exposures are not of one scene" in capsys.readouterr().err


def test_values_in_a_range_of_their_own(exposures: list[Path], tmp_path: Path) -> None:
    """Counts of a microscope: the message that asks for data_range was of no use here, which had no such setting."""
    for folder in exposures:
        for file in sorted(folder.iterdir()):
            np.save(tmp_path / folder.name / f"{file.stem}.npy", 100 + 15.0 * np.asarray(Pillow.open(file)))
            file.unlink()
    first, second = map(str, exposures)
    ranged = ["--set", "data_range=[100, 3925]", "--json", str(tmp_path / "n.json")]
    for source in (["--noisy", first, "--noise", "gaussian:15"], ["--noisy-pairs", first, second]):
        assert main(["evaluate", "identity", *source]) == 2
        assert main(["evaluate", "identity", *source, *ranged]) == 0
        estimated = numbers(tmp_path / "n.json")["results"][0]["estimated_psnr"]["mean"]
        assert estimated == pytest.approx(20 * np.log10(255 / 15), abs=0.5)
    for source in (["--clean", first, "--noise", "gaussian:25"], ["--pairs", first, second]):
        assert main(["evaluate", "identity", *source]) == 2
        assert main(["evaluate", "identity", *source, *ranged]) == 0
    assert numbers(tmp_path / "n.json")["results"][0]["psnr"]["mean"] == pytest.approx(21.6, abs=0.5)


def test_what_calibrate_wrote_is_the_noise(clean: Path, tmp_path: Path) -> None:
    noise = parse("poisson-gaussian:gain=0.01,read=0.02")
    (tmp_path / "noise.json").write_text(json.dumps({"noise": noise.to_dict()}))
    options = ["--noise", str(tmp_path / "noise.json"), "--json", str(tmp_path / "n.json")]
    assert main(["evaluate", "identity", "--clean", str(clean), *options]) == 0
    assert numbers(tmp_path / "n.json")["protocol"]["noise"] == noise.spec
    assert noise_spec(str(tmp_path / "noise.json")) == noise.spec


def test_settings(clean: Path, tmp_path: Path) -> None:
    settings = ["--set", "border=4", "--set", "metrics=ssim,mae", "--set", "told=auto"]
    options = ["--clean", str(clean), "--noise", "gaussian:10", "--json", str(tmp_path / "n.json")]
    assert main(["evaluate", "identity", *options, *settings]) == 0
    plain = numbers(tmp_path / "n.json")
    assert (plain["protocol"]["border"], plain["protocol"]["told"]) == (4, "auto")
    assert {"ssim", "mae"} <= set(plain["results"][0])
    assert "psnr" not in plain["results"][0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["median", "--clean", "{clean}"], "--noise"),
        (["median"], "--clean or --pairs"),
        (["median", "--noisy", "{clean}", "--clean", "{clean}"], "not for noisy images alone: --clean"),
        (["median", "--noisy", "{clean}", "--attack", "pgd:2/255"], "--attack"),
        (["median", "--noisy", "{clean}", "--set", "border=4"], "--set"),
        (["median", "--noisy", "{clean}", "--noisy-pairs", "a", "b"], "--noisy or --noisy-pairs"),
        (["median", "--noisy", "{clean}", "--noise", "gaussian:5-25"], "range"),
        (["median", "--noisy", "{clean}"], "no noise can be measured"),
        (["median", "--clean", "{clean}", "--pairs", "a", "b", "--noise", "gaussian:5"], "--clean or --pairs"),
        (["medina", "--clean", "{clean}", "--noise", "gaussian:25"], "Did you mean median"),
        (["median", "--clean", "{clean}", "--noise", "gausian:25"], "gaussian"),
        (["median", "--clean", "{clean}/none", "--noise", "gaussian:25"], "does not exist"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--limit", "0"], "limit"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--group", "("], "group pattern"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--group", "camera"], "does not match"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--set", "boder=3"], "border"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--set", "border=40"], "border"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--set", "metrics=psrn"], "psnr"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--set", "metrics=[]"], "no metric to measure"),
        (["median", "--clean", "{clean}", "--noise", "gaussian:25", "--seed", "-1"], "seed does not fit: got -1"),
        (["median", "--history", "{clean}/none.toml"], "none.toml: got No such file"),
        (["median", "--history", "t.toml", "--set", "data_range=9"], "is measured: got --set data_range"),
        (["median", "--clean", "{clean}", "--noise", "none.json"], "cannot read the noise model none.json"),
        (["median", "--history", "tasks.toml", "--clean", "{clean}"], "--history say what is measured: got --clean"),
        (["{clean}", "--clean", "{clean}", "--noise", "gaussian:25"], "bundle"),
    ],
)
def test_mistakes_are_one_line(words: list[str], says: str, clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *(word.format(clean=clean) for word in words)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Measuring")]
    assert len(lines) == 1
    assert says in lines[0]


def test_outputs_are_checked_before_the_work(clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    for option in (["--json", str(tmp_path)], ["--json", str(tmp_path / "file" / "n.json")]):
        assert main(["evaluate", "median", "--clean", str(clean), "--noise", "gaussian:25", *option]) == 1
        printed = capsys.readouterr()
        assert "cannot write" in printed.err
        assert "PSNR" not in printed.out
    report = ["--report", str(tmp_path / "file")]
    assert main(["evaluate", "median", "--clean", str(clean), "--noise", "gaussian:25", *report]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.slow
def test_dncnn_reproduces_its_published_psnr_on_set12(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = shared_data / "checkpoints" / "kair-dncnn" / "dncnn_25.pth"
    options = ["--clean", str(shared_data / "benchmark" / "set12"), "--noise", "gaussian:25"]
    assert main(["evaluate", str(checkpoint), *options, "--json", str(tmp_path / "n.json")]) == 0
    result = numbers(tmp_path / "n.json")["results"][0]
    assert result["psnr"]["mean"] == pytest.approx(30.44, abs=0.02)
    assert len(result["images"]) == 12
    assert re.search(r"30\.4\d", capsys.readouterr().out)
