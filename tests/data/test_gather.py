"""Finding images: folders, globs, stores, exclusions; every bit depth; what is reported when there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from noiseless.data.gather import gather, glob_pattern
from noiseless.data.store import write_store
from noiseless.errors import DataError, ImageError, ValueRangeError
from tiny_images import save, save_many, texture


def test_folders_are_searched_to_their_depth_and_named_from_their_own_name_on(tmp_path: Path) -> None:
    save_many(tmp_path / "photos", ["b.png", "sub/a.png"])
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    views = gather([tmp_path / "photos"])
    assert [(view.name, view.stem) for view in views] == [("photos/b.png", "b"), ("photos/sub/a.png", "sub/a")]


def test_an_image_is_known_by_its_content_not_by_its_suffix(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 0).rename(tmp_path / "picture.dat")
    (tmp_path / "fake.png").write_text("not an image")
    assert [view.path.name for view in gather([tmp_path])] == ["picture.dat"]


def test_several_inputs_give_each_file_once(tmp_path: Path) -> None:
    save_many(tmp_path, ["a.png", "b.png", "c/d.png"])
    views = gather([tmp_path / "b.png", tmp_path, str(tmp_path / "*.png")])
    assert [view.path.name for view in views] == ["b.png", "a.png", "d.png"]


def test_a_relative_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "photos" / "a.png", 0)
    monkeypatch.chdir(tmp_path / "photos")
    assert [view.name for view in gather(["."])] == ["photos/a.png"]


def test_wildcards_are_captured(tmp_path: Path) -> None:
    save_many(tmp_path, ["one/1_real.png", "two/2_real.png", "two/2_mean.png"])
    views = gather([str(tmp_path / "*" / "*_real.png")])
    assert [view.captured for view in views] == [("one", "1"), ("two", "2")]
    assert views[0].name == f"{tmp_path.name}/one/1_real.png"


@pytest.mark.parametrize(
    ("glob", "name", "groups"),
    [
        ("/d/*.png", "/d/a.png", ("a",)),
        ("/d/**/*_x.png", "/d/e/f/a_x.png", ("e/f/", "a")),
        ("/d/**/*_x.png", "/d/a_x.png", ("", "a")),
        ("/d/?[0-9].tif", "/d/a7.tif", ("a", "7")),
        ("/d/[!a]*.tif", "/d/b(1).tif", ("b", "(1)")),
    ],
)
def test_glob_pattern_has_a_group_for_each_wildcard(glob: str, name: str, groups: tuple[str, ...]) -> None:
    match = glob_pattern(glob).fullmatch(name)
    assert match
    assert match.groups() == groups
    assert not glob_pattern("/d/*.png").fullmatch("/d/e/a.png")


@pytest.mark.parametrize("pattern", ["b*", "*/b.png", "photos/sub/*", "b"])
def test_exclusions_fit_name_stem_or_path(tmp_path: Path, pattern: str) -> None:
    save_many(tmp_path / "photos", ["a.png", "sub/b.png"])
    assert [view.path.name for view in gather([tmp_path / "photos"], exclude=[pattern])] == ["a.png"]


def test_no_image_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=tmp_path.name):
        gather([tmp_path])
    save(tmp_path / "a.png", 0)
    with pytest.raises(DataError, match=r"1 images, all of them excluded"):
        gather([tmp_path], exclude=["*"])
    with pytest.raises(DataError, match="no image"):
        gather([str(tmp_path / "*.jpg")])
    with pytest.raises(ImageError, match="does not exist"):
        gather([tmp_path / "missing.png"])


def test_any_bit_depth_spans_its_range(tmp_path: Path) -> None:
    grey = texture(1, channels=1)
    Image.fromarray(grey).save(tmp_path / "8.png")
    tifffile.imwrite(tmp_path / "16.tif", grey.astype(np.uint16) * 257)
    tifffile.imwrite(tmp_path / "float.tif", grey.astype(np.float32) / 255)
    np.save(tmp_path / "double.npy", grey / 255.0)
    found = {view.stem: view.read() for view in gather([tmp_path])}
    dtypes = {name: planes[0].dtype.name for name, planes in found.items()}
    assert dtypes == {"8": "uint8", "16": "uint16", "float": "float32", "double": "float32"}
    for name, (plane,) in found.items():
        assert plane.shape == (1, 24, 32)
        scale = 1.0 if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max
        np.testing.assert_allclose(plane[0] / scale, grey / 255, atol=1e-6, err_msg=name)


def test_alpha_is_left_out_and_a_stack_becomes_planes(tmp_path: Path) -> None:
    pixels = np.dstack([texture(0), texture(1, channels=1)])
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    stack = np.stack([texture(seed, channels=1) for seed in range(5)])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    alpha, planes = (view.read() for view in gather([tmp_path]))
    np.testing.assert_array_equal(alpha[0], pixels[..., :3].transpose(2, 0, 1))
    assert [plane.shape for plane in planes] == [(1, 24, 32)] * 5
    np.testing.assert_array_equal(np.concatenate(planes), stack)


def test_float_values_far_outside_need_a_range(tmp_path: Path) -> None:
    hounsfield = np.linspace(-1000, 3000, 24 * 32, dtype=np.float32).reshape(24, 32)
    tifffile.imwrite(tmp_path / "ct.tif", hounsfield)
    (view,) = gather([tmp_path])
    with pytest.raises(ValueRangeError, match=r"ct\.tif"):
        view.read()
    (plane,) = view.read((-1000, 3000))
    np.testing.assert_allclose(plane[0], np.linspace(0, 1, 24 * 32).reshape(24, 32), atol=1e-5)


def test_a_store_is_an_input_like_a_folder(tmp_path: Path) -> None:
    crops = [np.full((3, 4, 5), number, dtype=np.uint8) for number in range(3)]
    entries = [(f"c{number}", crop, {"sha256": "same"} if number else {}) for number, crop in enumerate(crops)]
    write_store(tmp_path / "store", entries)
    save(tmp_path / "more" / "a.png", 0)
    views = gather([tmp_path / "store", tmp_path / "more"])
    assert [view.name for view in views] == ["c0", "c1", "c2", "more/a.png"]
    np.testing.assert_array_equal(views[2].read()[0], crops[2])
    assert views[1].sha256 == views[2].sha256 == "same"
    assert len(views[0].sha256) == 64


def test_a_store_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    for value in (0, 9):
        write_store(tmp_path / "store", [(f"v{value}", np.full((1, 4, 4), value, np.uint8), {})])
        (view,) = gather([tmp_path / "store"])
        assert (view.name, int(view.read()[0].max())) == (f"v{value}", value)
