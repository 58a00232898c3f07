"""Which file becomes which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.errors import ConfigError, DataError, ImageError, OutputError, UnknownNameError
from noiseless.workflows.files import Job, plan_jobs


def image(path: Path, name: str = "") -> Path:
    """A small PNG, whatever the path's suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noiseless.write(path, noiseless.Image.from_array(np.zeros((4, 4), np.uint8)), format="png")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "in/b.png", "in/deep/c.png", "in/deep/d.dat"):
        image(Path(name))
    Path("in/note.txt").write_text("no image")
    return tmp_path


def pairs(*inputs: str, output: str, recursive: bool = False) -> dict[str, str]:
    jobs, failures = plan_jobs(inputs, output, recursive=recursive)
    assert not failures
    return {str(job.source): str(job.target) for job in jobs}


def test_one_file_goes_to_a_file(here: Path) -> None:
    assert pairs("a.png", output="out.tif") == {"a.png": "out.tif"}


@pytest.mark.parametrize("output", ["out", "out/", "in"])
def test_one_file_goes_into_a_folder(here: Path, output: str) -> None:
    assert pairs("a.png", output=output) == {"a.png": f"{output.rstrip('/')}/a.png"}


def test_a_folder_keeps_its_structure(here: Path) -> None:
    assert pairs("in", output="out") == {"in/b.png": "out/b.png"}
    assert pairs("in", output="out", recursive=True) == {
        "in/b.png": "out/b.png",
        "in/deep/c.png": "out/deep/c.png",
        "in/deep/d.dat": "out/deep/d.dat.png",
    }


def test_a_pattern_keeps_what_is_below_its_first_wildcard(here: Path) -> None:
    assert pairs("in/**/*.png", output="out") == {"in/b.png": "out/b.png", "in/deep/c.png": "out/deep/c.png"}
    assert pairs("in/*.png", output="out") == {"in/b.png": "out/b.png"}


def test_several_inputs(here: Path) -> None:
    assert pairs("a.png", "in", output="out") == {"a.png": "out/a.png", "in/b.png": "out/b.png"}
    assert pairs("a.png", "a.png", output="out") == {"a.png": "out/a.png"}


def test_results_in_the_input_folder_are_no_inputs(here: Path) -> None:
    image(Path("restored/a.png"))
    assert set(pairs(".", output="restored", recursive=True)) == {"a.png", "in/b.png", "in/deep/c.png", "in/deep/d.dat"}


def test_results_may_go_above_the_input_folder(here: Path) -> None:
    assert pairs("in/deep", output="in") == {"in/deep/c.png": "in/c.png", "in/deep/d.dat": "in/d.dat.png"}


def test_the_pipe(here: Path) -> None:
    assert plan_jobs(["-"], "-") == ([Job(None, None)], [])
    assert plan_jobs(["-"], "out.png") == ([Job(None, Path("out.png"))], [])
    assert plan_jobs(["a.png"], "-") == ([Job(Path("a.png"), None)], [])
    with pytest.raises(ConfigError, match="only input"):
        plan_jobs(["-", "a.png"], "out")
    with pytest.raises(ConfigError, match="has no name"):
        plan_jobs(["-"], "out/")


def test_several_images_need_a_folder(here: Path) -> None:
    for output in ("-", "a.png", "new.png", "new.mp4", "new.ome.zarr"):
        with pytest.raises(ConfigError, match="several images need a folder"):
            plan_jobs(["in", "a.png"], output)
    Path("there.png").mkdir()
    for output in ("there.png", "new.png/", "version.2"):
        assert len(plan_jobs(["in", "a.png"], output)[0]) == 2


def test_a_folder_that_cannot_be_is_told_before_any_work(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match=r"cannot make the folder a\.png/deep: got a file of the name a\.png"):
        plan_jobs(["in/b.png"], "a.png/deep/x.png")
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != "in")
    with pytest.raises(OutputError, match="got no permission to write into in"):
        plan_jobs(["a.png"], "in/new/x.png")
    with pytest.raises(OutputError, match="got no permission to write into in"):  # once, and not for each image
        plan_jobs(["a.png", "in"], "in/new")
    assert not Path("in/new").exists()


def test_the_input_is_never_written_to(here: Path) -> None:
    with pytest.raises(ConfigError, match="would be overwritten"):
        plan_jobs(["a.png"], "a.png")
    with pytest.raises(ConfigError, match="would be overwritten"):
        plan_jobs(["a.png"], "in/../a.png")
    jobs, failures = plan_jobs(["in", "a.png"], "in")
    assert [str(failure.error)[:29] for failure in failures] == ["in/b.png would be overwritten"]
    assert [job.name for job in jobs] == ["a.png"]
    Path("link.png").symlink_to("a.png")
    with pytest.raises(ConfigError, match="would be overwritten"):
        plan_jobs(["a.png"], "link.png")


def test_two_images_never_go_to_one_place(here: Path) -> None:
    image(Path("other/a.png"))
    jobs, failures = plan_jobs(["a.png", "other/a.png"], "out")
    assert [job.name for job in jobs] == ["a.png"]
    assert "two images would go to out/a.png" in str(failures[0].error)


def test_one_bad_input_does_not_stop_the_others(here: Path) -> None:
    jobs, failures = plan_jobs(["missing.png", "a.png"], "out")
    assert [job.name for job in jobs] == ["a.png"]
    assert [failure.name for failure in failures] == ["missing.png"]


def test_one_input_that_gives_nothing_is_an_error(here: Path) -> None:
    Path("empty").mkdir()
    with pytest.raises(DataError, match="no image in the folder empty"):
        plan_jobs(["empty"], "out")
    with pytest.raises(DataError, match="no image matches"):
        plan_jobs(["*.gif"], "out")


def test_a_file_that_is_no_image_and_has_no_known_suffix(here: Path) -> None:
    _, failures = plan_jobs(["a.png", "in/note.txt"], "out")
    assert isinstance(failures[0].error, ImageError)


def test_an_unknown_output_format_is_told_at_once(here: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"suffix '\.gif'"):
        plan_jobs(["a.png"], "out.gif")
