"""`noiseless select`: which noisy images to make a clean reference of."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import noiseless
import tiny_runs
from noiseless.__main__ import main
from noiseless.data import NoisyImages
from noiseless.errors import ConfigError, DataError, ImageError
from noiseless.noise import parse
from noiseless.workflows.select import DESCRIPTORS, Candidate, choose, look, select

ODD = {
    "stripes": "gaussian:10+stripes:sigma=0.06,axis=rows",
    "impulses": "gaussian:10+salt-and-pepper:amount=0.06",
    "correlated": "correlated:sigma=0.08,length=1.5",
}
PLAIN = Candidate("a", "/a", "gaussian:10", "gaussian 10.0 of 255", 0.0, (0.0,) * len(DESCRIPTORS))
SCALES = np.array(list(DESCRIPTORS.values()))


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noiseless.write(path, noiseless.Image.from_array(array))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures with the same white noise, and one of each odd kind."""
    made = tmp_path_factory.mktemp("select") / "noisy"
    kinds = {f"usual-{number}": "gaussian:10" for number in range(8)} | ODD
    for number, ((name, spec), scene) in enumerate(zip(kinds.items(), tiny_runs.pictures(11, 4, 96), strict=True)):
        noisy = parse(spec).sample(scene.astype(np.float32) / 255, np.random.default_rng(number))
        save(made / f"{name}.png", np.rint(noisy[0].clip(0, 1) * 255).astype(np.uint8))
    return made


def test_each_kind_is_listed_once_before_any_again_and_the_files_say_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers, paths = folder.parent / "made" / "numbers.json", folder.parent / "made" / "list.txt"
    command = ["select", "--noisy", str(folder), "--model", "gray-small", "-k", "4"]
    assert main([*command, "--json", str(numbers), "-o", str(paths)]) == 0
    printed = capsys.readouterr().out
    listed = [Path(line) for line in paths.read_text("utf-8").splitlines()]
    assert {path.stem.split("-")[0] for path in listed} == {"usual", *ODD}
    assert all(path.is_file() for path in listed)
    plain = json.loads(numbers.read_text("utf-8"))
    assert [Path(row["path"]) for row in plain["selected"]] == listed
    assert [row["rank"] for row in plain["selected"]] == [1, 2, 3, 4]
    assert plain["images"] == 11
    assert plain["model"] == "gray-small"
    for row in plain["selected"]:
        assert row["noise"]
        assert set(row["descriptor"]) == set(DESCRIPTORS)
        assert (row["alike"] > 4) == ("usual" in row["name"])
    rows = printed.splitlines()
    assert rows[0].split() == ["image", "short", "alike", "adds", "noise"]
    assert [row.split()[1] for row in rows[1:5]] == [f"noisy/{path.name}" for path in listed]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[:5] == rows[:5]


def test_a_model_falls_short_on_noise_that_it_does_not_know(folder: Path) -> None:
    """By more than a decibel, and not on white noise, however strong."""
    denoiser = noiseless.load("gray-small")
    strong = np.random.default_rng(5).normal(0.5, 0.2, (1, 96, 96)).astype(np.float32).clip(0, 1)
    short = {
        path.stem: look(noiseless.read(path).planes()[0], denoiser, path.stem, str(path)).short
        for path in folder.iterdir()
    }
    assert min(short[kind] for kind in ODD) > 1
    assert max(value for name, value in short.items() if name not in ODD) < 0.2
    assert abs(look(strong, denoiser, "strong", "/strong").short) < 0.2


def test_pictures_without_noise_are_left_out(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A constant one was ranked among the first, for it is unlike all others."""
    save(tmp_path / "blank.png", np.full((96, 96), 128, np.uint8))
    given = [str(tmp_path / "blank.png"), str(folder / "usual-*.png")]
    assert main(["select", "--noisy", *given, "--model", "gray-small", "-k", "30"]) == 2
    printed = capsys.readouterr()
    assert "blank" not in printed.out
    assert "1 of 9 could not be used:" in printed.err
    assert "no noise can be told" in printed.err


def test_more_than_there_are_lists_all(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["select", "--noisy", str(folder / "usual-*.png"), "--model", "gray-small", "-k", "30"]) == 0
    printed = capsys.readouterr().out
    assert "There are only 8 images, and 30 were asked for: all are listed." in printed
    assert printed.count("noisy/usual-") == 8


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--noisy", "EMPTY", "--model", "gray-small"], "no image in the folder"),
        (["--noisy", "MIXED", "--model", "gray-small"], "the images differ in their channels: got"),
        (["--noisy", "COLOUR", "--model", "color-smal"], "unknown model 'color-smal'. Did you mean color-small"),
        (["--noisy", "GREY", "--model", "color-small"], "color-small takes images of 3 channels: got 1"),
        (["--noisy", "GREY", "--model", "gray-small", "-k", "0"], "how many images to choose does not fit: got 0"),
        (["--noisy", "GREY", "--model", "gray-small", "-o", "GREY"], "got a folder, expected a file name"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grey, colour = np.full((24, 24), 90, np.uint8), np.full((24, 24, 3), 90, np.uint8)
    (tmp_path / "EMPTY").mkdir()
    for name, arrays in (("MIXED", [grey, colour]), ("COLOUR", [colour]), ("GREY", [grey])):
        for number, array in enumerate(arrays):
            save(tmp_path / name / f"{number}.png", array)
    places = [str(tmp_path / each) if each.isupper() else each for each in arguments]
    assert main(["select", *places]) == (1 if "-o" in arguments else 2)
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_needs_no_torch(folder: Path) -> None:
    code = (
        "import sys; from noiseless.__main__ import main; "
        f"main(['select', '--noisy', {str(folder / 'usual-0.png')!r}, '--model', 'gray-small']); "
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (700, 30)])
def test_any_size_and_a_constant_image(size: tuple[int, int]) -> None:
    denoiser = noiseless.load("gray-small")
    for plane in (np.full((1, *size), 0.5, np.float32), np.random.default_rng(0).random((3, *size), np.float32)):
        seen = look(plane, denoiser, "a", "/a")
        assert np.isfinite([seen.short, *seen.descriptor]).all()
    constant = look(np.full((1, *size), 0.5, np.float32), denoiser, "a", "/a")
    assert constant.kind == "none"
    assert constant.short == 0


def test_a_stack_counts_by_its_middle_and_nan_is_refused(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (5, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "middle.npy", stack[2])
    denoiser, views = noiseless.load("gray-small"), [item.views[0] for item in NoisyImages.find(tmp_path).items]
    first, second = (each.candidate for each in select(views, denoiser, 2).chosen)
    assert first.descriptor == second.descriptor
    np.save(tmp_path / "nan.npy", np.full((32, 32), np.nan, np.float32))
    views = [item.views[0] for item in NoisyImages.find(tmp_path).items]
    with pytest.raises(ImageError, match="NaN"):
        select([view for view in views if "nan" in view.name], denoiser, 2)
    with pytest.raises(DataError, match="no image to choose from"):
        select([], denoiser, 2)
    with pytest.raises(ConfigError, match="1 or more"):
        select(views, denoiser, 0)


def test_a_truncated_image_is_named_and_chosen_is_from_the_others(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ended the command, after all the work on those before it."""
    for name, size in (("0", None), ("1", 900), ("2", None)):
        (tmp_path / f"{name}.png").write_bytes((folder / f"usual-{name}.png").read_bytes()[:size])
    numbers = tmp_path / "numbers.json"
    assert main(["select", "--noisy", str(tmp_path), "--model", "gray-small", "--json", str(numbers)]) == 2
    printed, plain = capsys.readouterr(), json.loads(numbers.read_text("utf-8"))
    assert "There are only 2 images" in printed.out
    assert f"1 of 3 could not be used:\n  cannot read {tmp_path / '1.png'}: " in printed.err
    assert plain["images"] == len(plain["selected"]) == 2
    assert [*plain["left_out"]] == [str(tmp_path / "1.png")]


def at(distance: float) -> tuple[float, ...]:
    """A descriptor so far from that of PLAIN, in the unit in which images are compared."""
    return tuple((distance / len(SCALES) ** 0.5 * SCALES).tolist())


def test_the_same_image_is_not_wanted_twice() -> None:
    """Twins of the image of which the model falls shortest come after all others."""
    twin = replace(PLAIN, name="twin", short=9.0)
    others = [replace(PLAIN, name=f"{number}", descriptor=at(2.0 * number + 2)) for number in range(5)]
    chosen = choose([twin, twin, twin, *others], 8)
    order = [each.candidate.name for each in chosen]
    assert order[0] == "twin"
    assert order[-2:] == ["twin", "twin"]
    assert [each.adds for each in chosen[-2:]] == [0, 0]


def test_many_images_alike_outweigh_an_odd_one_that_is_not_much_worse() -> None:
    frames = [replace(PLAIN, name=f"frame-{number}", short=1.0, descriptor=at(0.01 * number)) for number in range(10)]
    odd = replace(PLAIN, name="odd", short=5.0, descriptor=at(9.0))
    first, second, third = choose([odd, *frames], 3)
    assert first.candidate.name.startswith("frame")
    assert first.alike == pytest.approx(10, abs=0.05)
    assert second.candidate == odd
    assert second.alike == pytest.approx(1)
    assert third.adds < 0.01 * second.adds


def test_images_a_unit_apart_are_alike_by_sixty_one_percent() -> None:
    chosen = choose([PLAIN, replace(PLAIN, name="b", descriptor=at(1.0))], 1)
    assert chosen[0].alike == pytest.approx(1 + np.exp(-0.5))


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(st.tuples(*[st.floats(0, 10, width=16)] * 3), min_size=1, max_size=12),
    count=st.integers(1, 15),
)
def test_a_choice_is_the_beginning_of_a_larger_one(numbers: list[tuple[float, ...]], count: int) -> None:
    candidates = [
        replace(PLAIN, name=str(index), short=short - 5, descriptor=(one, other, one) * 3)
        for index, (short, one, other) in enumerate(numbers)
    ]
    all_of_them = choose(candidates, len(candidates))
    assert sorted(each.candidate.name for each in all_of_them) == sorted(each.name for each in candidates)
    assert choose(candidates, count) == all_of_them[:count]
    adds = [each.adds for each in all_of_them]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(adds))
    assert min(adds) >= 0
    assert min(each.alike for each in all_of_them) >= 1
