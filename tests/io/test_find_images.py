"""Finding images in folders and by patterns."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from example_images import picture
from noiseless.data.gather import View
from noiseless.errors import DataError, ImageError
from noiseless.io import find_images, write
from noiseless.io.finding import described, left_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images with wrong and right names, text, hidden files and folders inside folders."""
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("b.png", "a.tif", ".secret.png", "deep/c.jpg", "deep/deeper/d.webp", ".hidden/e.png"):
        write(tmp_path / name, picture("uint8"))
    (tmp_path / "b.png").rename(tmp_path / "no-suffix")
    (tmp_path / "notes.png").write_text("no image")
    (tmp_path / "movie.gif").write_bytes(b"GIF89a")
    return tmp_path


def names(paths: list[Path], folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


def test_a_folder_is_searched_by_content(folder: Path) -> None:
    assert names(find_images([folder]), folder) == ["a.tif", "no-suffix"]
    assert names(find_images([str(folder)]), folder) == ["a.tif", "no-suffix"]


def test_what_only_looks_like_an_image_of_a_folder_is_told(folder: Path) -> None:
    (folder / "deep" / "notes.txt").write_text("no image, nor like one")
    (folder / "deep" / "film.mkv").write_bytes(b"\x1aE\xdf\xa3")
    unread = left_out([folder, folder / "no-suffix", folder / "gone"], recursive=True)
    assert names(unread, folder) == ["deep/film.mkv", "movie.gif", "notes.png"]
    assert described(unread) == "3 files, 1 of them a video, 1 of them a GIF"


def test_folders_are_searched_to_their_depth_when_asked(folder: Path) -> None:
    expected = ["a.tif", "deep/c.jpg", "deep/deeper/d.webp", "no-suffix"]
    assert names(find_images([folder], recursive=True), folder) == expected


def test_patterns(folder: Path) -> None:
    assert names(find_images([f"{folder}/*"]), folder) == ["a.tif", "no-suffix"]
    assert names(find_images([f"{folder}/**/*.[jw]*"]), folder) == ["deep/c.jpg", "deep/deeper/d.webp"]
    assert names(find_images([f"{folder}/d*"], recursive=True), folder) == ["deep/c.jpg", "deep/deeper/d.webp"]
    with pytest.raises(DataError, match=r"no image matches .*\*\.gif: got 1 file, 1 of them a GIF"):
        find_images([f"{folder}/*.gif"])
    with pytest.raises(DataError, match="got 0 files"):
        find_images([f"{folder}/*.exr"])


def test_a_file_named_is_taken_as_it_is(folder: Path) -> None:
    """Whether it can be read is said when it is, beside the other files of the batch."""
    assert find_images([folder / "notes.png"]) == [folder / "notes.png"]


def test_inputs_keep_their_order_and_none_comes_twice(folder: Path) -> None:
    found = find_images([folder / "no-suffix", folder / "deep", folder])
    assert names(found, folder) == ["no-suffix", "deep/c.jpg", "a.tif"]


def test_a_name_with_brackets_is_a_name_first(folder: Path) -> None:
    odd = folder / "scan[1].png"
    write(odd, picture("uint8"))
    assert find_images([odd]) == [odd]


def test_nothing_found_says_what_there_is(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no image in the folder .*empty: got 0 files"):
        find_images([folder / "empty"])
    for name in ("a.tif", "no-suffix"):
        (folder / name).unlink()
    with pytest.raises(DataError, match=r"got 2 files, 1 of them a GIF.*\(-r\)"):
        find_images([folder])
    with pytest.raises(ImageError, match="does not exist"):
        find_images([folder / "absent.png"])
    with pytest.raises(DataError, match="no input"):
        find_images([])


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_links_that_go_round_end(folder: Path) -> None:
    (folder / "deep" / "round").symlink_to(folder, target_is_directory=True)
    (folder / "linked.tif").symlink_to(folder / "a.tif")
    (folder / "broken.tif").symlink_to("nowhere")
    (folder / "itself.tif").symlink_to("itself.tif")
    expected = ["a.tif", "deep/c.jpg", "deep/deeper/d.webp", "linked.tif", "no-suffix"]
    assert names(find_images([folder], recursive=True), folder) == expected
    for recursive in (False, True):  # each came once for every turn
        assert names(find_images([f"{folder}/**/*"], recursive=recursive), folder) == expected
    assert described(left_out([f"{folder}/*.tif"])) == "2 files, 2 of them a link to nothing"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_nobody_waits_for_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe.tif")
    for given in (folder, f"{folder}/*.tif"):
        assert folder / "a.tif" in find_images([given])
        assert folder / "pipe.tif" not in [*find_images([given]), *left_out([given])]


def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    closed, locked = tmp_path / "closed.png", tmp_path / "locked"
    for path in (closed, tmp_path / "open.png"):
        write(path, picture("uint8"))
    closed.chmod(0)
    locked.mkdir(mode=0)
    if os.access(locked, os.R_OK):
        pytest.skip("root may read everything")
    assert find_images([tmp_path]) == [tmp_path / "open.png"]
    unread = left_out([tmp_path])
    assert described(unread) == "1 file, 1 of them without permission to read"
    with pytest.raises(DataError, match=r"cannot look into the folder .*locked: got Permission denied"):
        find_images([locked])
    with pytest.raises(ImageError, match=r"cannot read .*closed.png: got Permission denied"):
        print(View(closed, tmp_path).sha256)
