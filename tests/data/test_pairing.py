"""Pairs are matched by name, whatever tells the sides apart; what does not match is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from noiseless.data import NoisyPairs, Pairs
from noiseless.errors import DataError
from tiny_images import save, save_many


def matched(pairs: Pairs) -> list[tuple[str, str]]:
    """Paths of both sides below the common folder."""
    return [(item.views[0].stem, item.views[1].stem) for item in pairs.items]


@pytest.mark.parametrize(
    ("noisy", "clean", "expected"),
    [
        (["1.png", "2.png"], ["2.png", "1.png"], [("1", "1"), ("2", "2")]),
        (
            ["1_noisy.png", "2_noisy.png"],
            ["1_clean.png", "2_clean.png"],
            [("1_noisy", "1_clean"), ("2_noisy", "2_clean")],
        ),
        (["noisy001.png"], ["clean001.png"], [("noisy001", "clean001")]),
        (["1.png", "11.png"], ["1-gt.png", "11-gt.png"], [("1", "1-gt"), ("11", "11-gt")]),
        (
            ["0001_NOISY_SRGB_010.png", "0002_NOISY_SRGB_011.png"],
            ["0001_GT_SRGB_010.png", "0002_GT_SRGB_011.png"],
            [("0001_NOISY_SRGB_010", "0001_GT_SRGB_010"), ("0002_NOISY_SRGB_011", "0002_GT_SRGB_011")],
        ),
        (["a/1.png", "b/1.png"], ["b/1.png", "a/1.png"], [("a/1", "a/1"), ("b/1", "b/1")]),
        (["wall_n.png", "snow_n.png"], ["snow.png", "wall.png"], [("snow_n", "snow"), ("wall_n", "wall")]),
    ],
)
def test_two_folders(tmp_path: Path, noisy: list[str], clean: list[str], expected: list[tuple[str, str]]) -> None:
    save_many(tmp_path / "noisy", noisy)
    save_many(tmp_path / "clean", clean, 100)
    pairs = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    assert matched(pairs) == expected
    assert pairs.unmatched == ((), ())


def test_the_suffix_may_differ(tmp_path: Path) -> None:
    save(tmp_path / "noisy" / "1.png", 0)
    save(tmp_path / "clean" / "1.png", 1).rename(tmp_path / "clean" / "1.dat")
    assert matched(Pairs.find(tmp_path / "noisy", tmp_path / "clean")) == [("1", "1")]


def test_one_folder_told_apart_by_globs(tmp_path: Path) -> None:
    save_many(tmp_path, ["Canon5D_1_real.png", "Canon5D_1_mean.png", "Nikon_2_real.png", "Nikon_2_mean.png"])
    pairs = Pairs.find(str(tmp_path / "*_real.png"), str(tmp_path / "*_mean.png"))
    assert matched(pairs) == [("Canon5D_1_real", "Canon5D_1_mean"), ("Nikon_2_real", "Nikon_2_mean")]


def test_a_folder_for_each_scene(tmp_path: Path) -> None:
    save_many(tmp_path, ["s1/noisy.png", "s1/clean.png", "s2/noisy.png", "s2/clean.png"])
    pairs = Pairs.find(str(tmp_path / "*/noisy.png"), str(tmp_path / "*/clean.png"))
    assert matched(pairs) == [("s1/noisy", "s1/clean"), ("s2/noisy", "s2/clean")]


def test_what_did_not_match_is_reported(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", ["1.png", "2.png", "3.png"])
    save_many(tmp_path / "clean", ["2.png", "4.png"], 100)
    pairs = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    assert matched(pairs) == [("2", "2")]
    assert pairs.report() == (
        "1 pair; no clean partner for 2 images (noisy/1.png, noisy/3.png); no noisy partner for 1 image (clean/4.png)"
    )


def test_what_is_no_image_but_looks_like_one_is_told(tmp_path: Path) -> None:
    for side, value in (("noisy", 0), ("clean", 100)):
        save_many(tmp_path / side, ["1.png"], value)
        (tmp_path / side / "2.png").write_bytes(b"")
    told = f"2 files: {tmp_path / 'noisy' / '2.png'}, {tmp_path / 'clean' / '2.png'}"
    expected = f"1 pair; left out, as no image that is read from a folder: {told}"
    assert Pairs.find(tmp_path / "noisy", tmp_path / "clean").report() == expected
    assert NoisyPairs.find(tmp_path / "noisy", tmp_path / "clean").report() == expected


def test_an_ambiguous_name_pairs_nothing(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", ["1.png", "2.png"])
    save(tmp_path / "noisy" / "1b.png", 9).rename(tmp_path / "noisy" / "1.dat")
    save_many(tmp_path / "clean", ["1.png", "2.png"], 100)
    pairs = Pairs.find(tmp_path / "noisy", tmp_path / "clean")
    assert matched(pairs) == [("2", "2")]
    assert len(pairs.unmatched[0]) == 2


def test_no_match_names_both_sides(tmp_path: Path) -> None:
    save_many(tmp_path / "noisy", ["cat.png", "dog.png"])
    save_many(tmp_path / "clean", ["tree.png", "lawn.png"])
    with pytest.raises(DataError, match=r"noisy/cat\.png.*clean/lawn\.png"):
        Pairs.find(tmp_path / "noisy", tmp_path / "clean")


def test_the_same_files_on_both_sides_are_refused(tmp_path: Path) -> None:
    save_many(tmp_path, ["1.png", "2.png"])
    with pytest.raises(DataError, match="globs"):
        Pairs.find(tmp_path, tmp_path)


def test_pairs_of_noisy_images(tmp_path: Path) -> None:
    save_many(tmp_path, ["1_first.png", "1_second.png", "2_first.png", "2_second.png"])
    pairs = NoisyPairs.find(str(tmp_path / "*_first.png"), str(tmp_path / "*_second.png"))
    assert [item.name for item in pairs.items] == [f"{tmp_path.name}/1_first.png", f"{tmp_path.name}/2_first.png"]
    assert pairs.roles == ("noisy", "noisy-again")
