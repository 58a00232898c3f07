"""noiseless data pack: the options reach the preparation, and it says what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from noiseless.cli import run
from noiseless.data.store import PackedStore
from noiseless.errors import ConfigError, UnknownNameError
from tiny_images import save_many


def test_packing_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_many(tmp_path / "photos", ["a.png", "b.png", "chart.png"])
    options = ["--crop", "32", "--downscale", "1.5", "--filter", "area", "--exclude", "chart*", "nothing"]
    from PIL import Image

    for path in (tmp_path / "photos").iterdir():
        with Image.open(path) as image:
            image.resize((96, 48), Image.Resampling.NEAREST).save(path)
    assert run(["data", "pack", str(tmp_path / "photos"), "-o", str(tmp_path / "store"), *options]) == 0
    store = PackedStore(tmp_path / "store")
    assert [entry.name for entry in store.entries] == [
        f"photos/{name}.png@{left},0" for name in "ab" for left in (0, 32)
    ]
    printed = capsys.readouterr().out
    assert "2 images, scaled down: 2 by 1.5" in printed
    assert f"4 crops, 0 MB, in {tmp_path / 'store'}" in printed
    assert store.info["preparation"]["filter"] == "area"


def test_wrong_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="auto or a number"):
        run(["data", "pack", str(tmp_path), "-o", str(tmp_path / "s"), "--downscale", "much"])
    with pytest.raises(UnknownNameError, match="Did you mean pack"):
        run(["data", "park", str(tmp_path), "-o", str(tmp_path / "s")])
