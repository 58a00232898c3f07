"""Bundles: written whole, read checked, errors that say what is wrong."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noiseless import bundle
from noiseless.bundle import Bundle, NetworkSpec
from noiseless.errors import BundleError, OutputError


def make(folder: Path, value: float = 1.0, **changes: Any) -> Bundle:
    content, _ = bundle.pack({"layer.weight": np.full((2, 3), value, np.float16), "layer.bias": np.ones(2, np.float32)})
    spec = NetworkSpec(channels=1, multiple_of=8, minimum_size=8, halo=None, conditioning="sigma")
    noise = {"kind": "gaussian", "sigma": {"low": 0.0, "high": 0.2}}
    made = Bundle(folder, "test", "unet_nano", {"channels": 1, "widths": [8, 16]}, spec, noise, bytes_per_pixel=90.5)
    files = {bundle.WEIGHTS: content, bundle.GRAPH: b"graph", bundle.CARD: b"# Test\n"}
    return bundle.write(replace(made, **changes), files)


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    written = make(tmp_path / "model", extra={"story": "long"})
    found = bundle.read(tmp_path / "model")
    assert found == written
    assert found.tensors()["layer.weight"].dtype == np.float16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_pack_says_where_tensors_lie() -> None:
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(4, dtype=np.float16)}
    content, places = bundle.pack(tensors)
    for name, place in places.items():
        raw = content[place.offset : place.offset + place.length]
        assert np.array_equal(np.frombuffer(raw, tensors[name].dtype).reshape(place.shape), tensors[name])


def test_writing_replaces_the_whole_folder(tmp_path: Path) -> None:
    make(tmp_path / "model", 1.0)
    (tmp_path / "model" / "left-over").touch()
    make(tmp_path / "model", 2.0)
    assert bundle.read(tmp_path / "model").tensors()["layer.weight"][0, 0] == 2
    assert not (tmp_path / "model" / "left-over").exists()


def test_a_failed_write_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "model", 1.0)

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"No space left.*Free some space"):
        make(tmp_path / "model", 2.0)
    assert bundle.read(tmp_path / "model").tensors()["layer.weight"][0, 0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_the_old_bundle_is_found_when_its_writer_was_killed_between_two_renames(tmp_path: Path) -> None:
    make(tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / ".model.previous")
    assert bundle.read(tmp_path / "model").name == "test"
    make(tmp_path / "model", 2.0)
    assert bundle.read(tmp_path / "model").tensors()["layer.weight"][0, 0] == 2


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs a user who may not write everywhere")
def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot write"):
        make(tmp_path / "model")


def test_a_file_in_the_way_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        make(tmp_path / "file" / "model")


def corrupt(folder: Path, name: str, **changes: Any) -> None:
    config = json.loads((folder / name).read_text())
    config.update(changes)
    (folder / name).write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in (bundle.WEIGHTS, bundle.GRAPH):
        make(tmp_path / name)
        (tmp_path / name / name).unlink()
        with pytest.raises(BundleError, match=f"incomplete.*no {name}"):
            bundle.read(tmp_path / name)


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "model").weights_path
    whole = path.read_bytes()
    for length in (0, 5, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BundleError, match="not a whole safetensors file"):
            bundle.read(tmp_path / "model")


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "model").weights_path
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(BundleError, match="was changed after it was written"):
        bundle.read(tmp_path / "model")


def test_a_newer_format_says_so(tmp_path: Path) -> None:
    make(tmp_path / "model")
    corrupt(tmp_path / "model", bundle.CONFIG, format_version=2)
    with pytest.raises(BundleError, match=r"format_version 2.*expected 1.*newer noiseless"):
        bundle.read(tmp_path / "model")


@pytest.mark.parametrize(
    "changes", [{"spec": ...}, {"spec": {"sides": 3}}, {"network": ...}, {"data_range": 3}, {"spec": 7}]
)
def test_a_config_that_does_not_describe_a_model(tmp_path: Path, changes: dict[str, Any]) -> None:
    make(tmp_path / "model")
    corrupt(tmp_path / "model", bundle.CONFIG, **changes)
    with pytest.raises(BundleError, match="does not describe a model"):
        bundle.read(tmp_path / "model")


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_a_config_that_is_no_json_object(tmp_path: Path, text: str) -> None:
    make(tmp_path / "model")
    (tmp_path / "model" / bundle.CONFIG).write_text(text)
    with pytest.raises(BundleError, match=r"is not JSON|does not describe"):
        bundle.read(tmp_path / "model")


def test_a_config_whose_files_are_a_list(tmp_path: Path) -> None:
    make(tmp_path / "model")
    corrupt(tmp_path / "model", bundle.CONFIG, files=["model.safetensors"])
    with pytest.raises(BundleError, match="is damaged: got files"):
        bundle.read(tmp_path / "model")


def test_a_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"not a model bundle.*no config.json"):
        bundle.read(tmp_path)


def test_shipped_models_are_whole() -> None:
    for name, folder in bundle.shipped().items():
        assert bundle.read(folder).name == name
        assert {bundle.CARD, bundle.TRAIN, bundle.GRAPH} <= {path.name for path in folder.iterdir()}


def test_a_copy_of_a_bundle_works(tmp_path: Path) -> None:
    make(tmp_path / "model")
    shutil.copytree(tmp_path / "model", tmp_path / "elsewhere")
    assert bundle.read(tmp_path / "elsewhere").path == tmp_path / "elsewhere"
