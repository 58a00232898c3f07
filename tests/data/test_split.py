"""Splits: by content, whole groups, never the same content on two sides; explicit sides are respected."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from noiseless.data import CleanImages, Pairs, Source, data_folder, group_of, split
from noiseless.data.store import write_store
from noiseless.errors import DataError
from tiny_images import save, save_many


def hashes(source: Source | None) -> set[str]:
    """Content hashes of a side."""
    return set() if source is None else {view.sha256 for item in source.items for view in item.views}


@pytest.fixture
def twenty(tmp_path: Path) -> Path:
    """A folder of twenty images of three cameras."""
    folder = tmp_path / "twenty"
    save_many(folder, [f"{camera}/{number}.png" for camera in ("canon", "nikon", "sony") for number in range(7)][:20])
    return folder


def test_shares_are_met_and_no_image_is_lost(twenty: Path) -> None:
    sides = split(CleanImages.find(twenty), validation_share=0.2, test_share=0.1)
    assert {name: len(source) for name, source in sides.sides().items()} == {"train": 14, "validation": 4, "test": 2}
    assert len(hashes(sides.train) | hashes(sides.validation) | hashes(sides.test)) == 20


def test_what_is_no_image_but_looks_like_one_is_told_once(twenty: Path) -> None:
    for name in ("notes.png", "moving.gif"):
        (twenty / "canon" / name).write_bytes(b"GIF89a")
    (twenty / "notes.txt").write_text("of no interest")
    train, validation = split(CleanImages.find(twenty), test_share=0.0).report().splitlines()
    line = "18 images; left out, as no image that is read from a folder: 2 files, 2 of them a GIF: "
    assert train == f"train: {line}{twenty / 'canon' / 'moving.gif'}, {twenty / 'canon' / 'notes.png'}"
    assert validation == "validation: 2 images"


def test_a_split_depends_on_content_alone(twenty: Path, tmp_path: Path) -> None:
    before = split(CleanImages.find(twenty))
    renamed = tmp_path / "elsewhere"
    renamed.mkdir()
    for number, file in enumerate(sorted(twenty.rglob("*.png"), reverse=True)):
        shutil.copy(file, renamed / f"{number:02}.png")
    after = split(CleanImages.find(renamed))
    assert hashes(before.validation) == hashes(after.validation)
    assert hashes(before.test) == hashes(after.test)
    assert hashes(before.validation)


def test_groups_stay_whole(twenty: Path) -> None:
    sides = split(CleanImages.find(twenty), group=r"(canon|nikon|sony)")
    cameras = [{item.name.split("/")[1] for item in source.items} for source in sides.sides().values()]
    assert len(cameras) == 3
    assert all(len(names) == 1 for names in cameras)
    assert len(set.union(*cameras)) == 3


def test_equal_content_stays_on_one_side(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    save_many(folder, [f"{number}.png" for number in range(6)])
    for number in range(6):
        shutil.copy(folder / f"{number}.png", folder / f"copy-{number}.png")
    sides = split(CleanImages.find(folder), validation_share=0.3, test_share=0.3)
    found = [hashes(source) for source in sides.sides().values()]
    assert [len(side) for side in found] == [4, 1, 1]
    assert sum(len(source) for source in sides.sides().values()) == 12


def test_pairs_with_one_clean_image_stay_together(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", [f"{number}.png" for number in range(9)])
    for number in range(9):
        save(tmp_path / "clean" / f"{number}.png", 100 + number // 3)
    sides = split(Pairs.find(tmp_path / "noisy", tmp_path / "clean"), validation_share=0.3, test_share=0.3)
    scenes = [{item.views[1].sha256 for item in source.items} for source in sides.sides().values()]
    assert [len(side) for side in scenes] == [1, 1, 1]
    assert len(set.union(*scenes)) == 3


def test_crops_of_one_photograph_stay_together(tmp_path: Path) -> None:
    crops = [
        (f"{n}@{c}", np.full((1, 4, 4), 10 * n + c, np.uint8), {"sha256": str(n)}) for n in range(6) for c in range(4)
    ]
    write_store(tmp_path / "store", crops)
    sides = split(CleanImages.find(tmp_path / "store"))
    photographs = [{item.name.split("@")[0] for item in source.items} for source in sides.sides().values()]
    assert sum(map(len, photographs)) == len(set.union(*photographs)) == 6


def test_explicit_sides_are_respected_and_what_they_hold_is_not_trained_on(twenty: Path, tmp_path: Path) -> None:
    save_many(tmp_path / "validation", ["a.png", "b.png"], 100)
    shutil.copy(twenty / "canon" / "0.png", tmp_path / "validation" / "other-name.png")
    sides = split(CleanImages.find(twenty), validation=CleanImages.find(tmp_path / "validation"))
    assert sides.validation is not None
    assert [item.name for item in sides.validation.items] == [
        "validation/a.png",
        "validation/b.png",
        "validation/other-name.png",
    ]
    assert sides.test is None
    assert len(sides.train) == 19
    assert [item.name for item in sides.left_out] == ["twenty/canon/0.png"]
    assert "twenty/canon/0.png" in sides.report()


def test_an_explicit_test_side_leaves_validation_to_be_split_off(twenty: Path, tmp_path: Path) -> None:
    save_many(tmp_path / "test", ["a.png"], 100)
    sides = split(CleanImages.find(twenty), test=CleanImages.find(tmp_path / "test"))
    assert {name: len(source) for name, source in sides.sides().items()} == {"train": 18, "validation": 2, "test": 1}


def test_validation_and_test_do_not_share(twenty: Path, tmp_path: Path) -> None:
    save_many(tmp_path / "validation", ["a.png", "b.png"], 100)
    save_many(tmp_path / "test", ["c.png"], 101)
    explicit = CleanImages.find(tmp_path / "validation"), CleanImages.find(tmp_path / "test")
    sides = split(CleanImages.find(twenty), validation=explicit[0], test=explicit[1])
    assert hashes(sides.validation).isdisjoint(hashes(sides.test))
    assert [item.name for item in sides.left_out] == ["validation/b.png"]


def test_nothing_left_to_train_on(twenty: Path) -> None:
    source = CleanImages.find(twenty)
    with pytest.raises(DataError, match="no image is left"):
        split(source, validation=source)


@pytest.mark.parametrize(("count", "shares"), [(1, (0.1, 0.0)), (2, (0.1, 0.1)), (1, (0.1, 0.1))])
def test_too_few_images(tmp_path: Path, count: int, shares: tuple[float, float]) -> None:
    save_many(tmp_path, [f"{number}.png" for number in range(count)])
    with pytest.raises(DataError, match=f"too few images to split: got {count} image"):
        split(CleanImages.find(tmp_path), validation_share=shares[0], test_share=shares[1])


def test_one_image_without_a_split(tmp_path: Path) -> None:
    save(tmp_path / "1.png", 0)
    sides = split(CleanImages.find(tmp_path), validation_share=0.0, test_share=0.0)
    assert list(sides.sides()) == ["train"]


def test_group_patterns() -> None:
    assert group_of("set/Canon5D2_01.png", r"/(\w+?)\d") == "Canon"
    assert group_of("patient-17/slice-3.png", r"patient-\d+") == "patient-17"
    assert group_of("x_Nikon.png", r"(Canon)|(Nikon)") == "Nikon"
    assert group_of("anything", None) is None
    with pytest.raises(DataError, match=r"does not match a/b\.png"):
        group_of("a/b.png", r"(\d+)")
    with pytest.raises(DataError, match="no regular expression"):
        group_of("a/b.png", r"(")


def test_data_folder_of_pairs(tmp_path: Path) -> None:
    for number, side in enumerate(("train", "validation", "test")):
        save_many(tmp_path / side / "noisy", ["1.png", "2.png"], 10 * number)
        save_many(tmp_path / side / "clean", ["1.png", "2.png"], 100 + 10 * number)
    sides = data_folder(tmp_path)
    assert {name: (type(source), len(source)) for name, source in sides.sides().items()} == {
        "train": (Pairs, 2),
        "validation": (Pairs, 2),
        "test": (Pairs, 2),
    }


def test_data_folder_of_clean_images(tmp_path: Path) -> None:
    save_many(tmp_path / "train", ["a/1.png", "b/2.png"])
    save_many(tmp_path / "test", ["3.png"], 10)
    sides = data_folder(tmp_path)
    assert {name: len(source) for name, source in sides.sides().items()} == {"train": 1, "validation": 1, "test": 1}
    assert all(isinstance(source, CleanImages) for source in sides.sides().values())


def test_data_folder_without_train(tmp_path: Path) -> None:
    save_many(tmp_path / "validation", ["1.png"])
    with pytest.raises(DataError, match=r"no folder train: got \['validation'\]"):
        data_folder(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        data_folder(tmp_path / "missing")


def test_data_folder_with_one_side_of_the_pairs(tmp_path: Path) -> None:
    save_many(tmp_path / "train" / "noisy", ["1.png"])
    with pytest.raises(DataError, match="no clean"):
        data_folder(tmp_path)
