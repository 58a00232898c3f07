"""OME-Zarr: folders that zarr wrote survive, all but their pixels; what is odd or damaged is an error of one line."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from noiseless.data.gather import gather
from noiseless.errors import ConfigError, ImageError, MissingExtraError, NoiselessError, OutputError, ValueRangeError
from noiseless.io import check_fits, denoised_mark, find_images, pixel_count, pyramid, read, with_denoised_mark, write
from noiseless.io.rows import open_rows
from noiseless.workflows.files import plan_jobs
from zarr_files import attributes_of, multiscale, ome_zarr, pixels_of

RANDOM = np.random.default_rng(0)
OMERO = {"channels": [{"color": "FF0000", "label": "DAPI", "window": {"min": 0, "max": 4095, "start": 5, "end": 900}}]}
VERSIONS = ("0.4", "0.5")


def noise(*shape: int, dtype: str = "uint16", most: int = 4000) -> np.ndarray:
    if np.dtype(dtype).kind == "f":
        return RANDOM.random(shape).astype(dtype)
    return RANDOM.integers(0, most, shape).astype(dtype)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("axes", "shape", "planes", "channels"),
    [("YX", (33, 21), 1, 1), ("CYX", (3, 20, 17), 1, 3), ("ZYX", (5, 8, 9), 5, 1), ("TZCYX", (2, 3, 2, 20, 19), 6, 2)],
)
def test_pixels_axes_and_metadata_survive(
    version: str, axes: str, shape: tuple[int, ...], planes: int, channels: int, tmp_path: Path
) -> None:
    array = noise(*shape)
    source = ome_zarr(tmp_path / "a.ome.zarr", array, axes, version, levels=2, omero=OMERO, attributes={"mine": [1]})
    image = read(source)
    np.testing.assert_array_equal(image.array, array)
    assert (image.axes, image.count, image.channels, image.is_colour) == (axes, planes, channels, False)
    write(tmp_path / "b.zarr", image.with_planes(image.planes()))
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.zarr"), array)
    before, after = attributes_of(source), attributes_of(tmp_path / "b.zarr")
    before.get("ome", before)["multiscales"][0]["type"] = "mean"
    assert after == before
    again = read(tmp_path / "b.zarr")
    assert (again.axes, again.data_range, again.bits) == (axes, image.data_range, image.bits)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int16", "float32", "float16", "bool"])
def test_dtypes_chunks_and_codecs_are_those_of_the_source(version: str, dtype: str, tmp_path: Path) -> None:
    array = noise(20, 30, dtype=dtype, most=2 if dtype == "bool" else 200)
    source = ome_zarr(tmp_path / "a.zarr", array, "YX", version, chunks=(7, 16))
    write(tmp_path / "b.zarr", read(source))
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.zarr"), array)
    for name in (".zarray", "zarr.json"):
        if (source / "0" / name).exists():
            assert (source / "0" / name).read_bytes() == (tmp_path / "b.zarr" / "0" / name).read_bytes()


def test_shards_survive(tmp_path: Path) -> None:
    array = noise(2, 64, 64)
    source = ome_zarr(tmp_path / "a.zarr", array, "ZYX", "0.5", chunks=(1, 16, 16), shards=(2, 32, 64))
    write(tmp_path / "b.zarr", read(source))
    np.testing.assert_array_equal(pixels_of(tmp_path / "b.zarr"), array)
    assert zarr.open_array(tmp_path / "b.zarr" / "0").shards == (2, 32, 64)


@pytest.mark.parametrize("version", VERSIONS)
def test_smaller_levels_are_means_of_the_new_pixels(version: str, tmp_path: Path) -> None:
    array = noise(2, 41, 64)
    source = ome_zarr(tmp_path / "a.zarr", array, "CYX", version, levels=3)
    image = read(source)
    write(tmp_path / "b.zarr", image.with_planes(image.planes() / 2))
    full, half = (pixels_of(tmp_path / "b.zarr", level).astype(float) for level in (0, 1))
    np.testing.assert_allclose(full, array / 2, atol=0.51)
    assert half.shape == (2, 21, 32)
    np.testing.assert_allclose(half[:, :20], full[:, :40].reshape(2, 20, 2, 32, 2).mean((2, 4)), atol=0.51)
    np.testing.assert_allclose(half[:, 20], full[:, 40].reshape(2, 32, 2).mean(2), atol=0.51)
    assert pixels_of(tmp_path / "b.zarr", 2).shape == (2, 11, 16)


@pytest.mark.parametrize(("finer", "coarser"), [(10, 5), (11, 5), (11, 6), (7, 7), (9, 2), (1, 1), (100, 33), (5, 4)])
def test_blocks_of_any_length_cover_the_axis_in_order(finer: int, coarser: int) -> None:
    places = pyramid.edges(finer, coarser)
    assert len(places) == coarser + 1
    assert places[0] == 0
    assert finer - finer / coarser < places[-1] <= finer
    assert (np.diff(places) > 0).all()


def test_piece_by_piece_is_the_same_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    array = noise(3, 40, 50)
    whole, pieces = np.zeros((2, 3, 20, 25), array.dtype)
    pyramid.make_level(array, whole, (3, 20, 25))
    monkeypatch.setattr(pyramid, "BLOCK_VALUES", 70)
    pyramid.make_level(array, pieces, (1, 7, 4))
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_mark_is_an_attribute(version: str, tmp_path: Path) -> None:
    image = read(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX", version))
    assert denoised_mark(image) is None
    write(tmp_path / "b.zarr", with_denoised_mark(image, "gray-small", 0.75))
    assert attributes_of(tmp_path / "b.zarr")["noiseless"] == {"denoised": "gray-small at strength 0.75"}
    again = read(tmp_path / "b.zarr")
    assert denoised_mark(again) == "gray-small at strength 0.75"
    write(tmp_path / "c.tif", again)
    assert denoised_mark(read(tmp_path / "c.tif")) == "gray-small at strength 0.75"


def test_labels_and_consolidated_metadata_stay(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX")
    zarr.open_group(source).create_array("labels/cells/0", data=noise(9, 9, dtype="uint8", most=9))
    zarr.consolidate_metadata(source, zarr_format=2)
    write(tmp_path / "b.zarr", with_denoised_mark(read(source), "gray-small", 1))
    labels = zarr.open_array(tmp_path / "b.zarr" / "labels" / "cells" / "0")
    np.testing.assert_array_equal(labels[...], zarr.open_array(source / "labels" / "cells" / "0")[...])
    assert "noiseless" in zarr.open_consolidated(tmp_path / "b.zarr").attrs


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_links_are_followed_but_not_round_in_a_circle(tmp_path: Path) -> None:
    """A link to the folder that it lies in was copied, pixels and all, forty times into itself."""
    source = ome_zarr(tmp_path / "a.zarr", np.arange(64, dtype=np.uint8).reshape(8, 8), "YX")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "who.txt").write_text("me")
    for name, to in (("round", source), ("itself", source / "itself"), ("nowhere", tmp_path / "no"), ("notes", None)):
        (source / name).symlink_to(to or tmp_path / name)
    (tmp_path / "notes" / "back").symlink_to(source)
    write(tmp_path / "b.zarr", read(source))
    copied = {path.relative_to(tmp_path / "b.zarr").as_posix() for path in (tmp_path / "b.zarr").rglob("*")}
    assert {"0/.zarray", "notes/who.txt"} <= copied
    assert not {"round", "itself", "nowhere", "notes/back"} & copied
    assert np.array_equal(pixels_of(tmp_path / "b.zarr"), pixels_of(source))


def test_values_span_what_the_settings_name(tmp_path: Path) -> None:
    twelve = read(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX", omero=OMERO))
    assert (twelve.bits, twelve.data_range) == (12, (0, 4095))
    beyond = read(ome_zarr(tmp_path / "b.zarr", noise(9, 9, most=60000) + 5000, "YX", omero=OMERO))
    assert (beyond.bits, beyond.data_range) == (16, (0, 65535))
    counts = noise(9, 9).astype("float32")
    assert read(ome_zarr(tmp_path / "c.zarr", counts, "YX", omero=OMERO)).data_range == (0, 4095)
    with pytest.raises(ValueRangeError, match=r"d\.zarr"):
        read(ome_zarr(tmp_path / "d.zarr", counts, "YX"))


def test_missing_chunks_hold_the_fill_value_and_nan_stays(tmp_path: Path) -> None:
    array = noise(32, 32)
    source = ome_zarr(tmp_path / "a.zarr", array, "YX", fill_value=7)
    (source / "0" / "1.1").unlink()
    expected = array.copy()
    expected[16:, 16:] = 7
    np.testing.assert_array_equal(read(source).array, expected)
    holes = noise(32, 32, dtype="float32")
    holes[:16, :16] = np.nan
    image = read(ome_zarr(tmp_path / "b.zarr", holes, "YX", "0.5", fill_value=np.nan))
    assert np.isfinite(image.planes()).all()
    write(tmp_path / "c.zarr", image.with_planes(image.planes() * 0.5))
    np.testing.assert_allclose(pixels_of(tmp_path / "c.zarr"), holes / 2)
    with open_rows(tmp_path / "b.zarr") as rows:
        assert rows is None


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_old_versions_have_five_axes_without_names(version: str, tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(1, 2, 3, 8, 8), "TCZYX", version)
    group = zarr.open_group(source)
    image = group.attrs["multiscales"][0]
    del image["axes"]
    group.attrs["multiscales"] = [image]
    assert read(source).axes == "TCZYX"


def changed(folder: Path, **changes: Any) -> None:
    """Change the one image of a group of version 0.4."""
    path = folder / ".zattrs"
    said = json.loads(path.read_text())
    said["multiscales"][0].update(changes)
    path.write_text(json.dumps(said))


def spoil_chunk(folder: Path) -> None:
    (folder / "0" / "0.0").write_bytes(b"no chunk")


def use_pickle(folder: Path) -> None:
    path = folder / "0" / ".zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"filters": [{"id": "pickle"}]}))


def claim(folder: Path, **claims: Any) -> None:
    path = folder / "0" / ".zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | claims))


AXES = [{"name": "angle"}, {"name": "x"}]
DAMAGES: dict[str, tuple[Any, str]] = {
    "no attributes": (lambda folder: (folder / ".zattrs").unlink(), "says nothing of an image: got a group without"),
    "empty attributes": (lambda folder: (folder / ".zattrs").write_text("{}"), "no multiscales among"),
    "attributes that are no JSON": (lambda folder: (folder / ".zattrs").write_text("{"), r"\.zattrs is damaged"),
    "a list for attributes": (lambda folder: (folder / ".zattrs").write_text("[]"), r"\.zattrs is damaged: got list"),
    "unknown axes": (lambda folder: changed(folder, axes=AXES), "axes .* not understood: got angle, x"),
    "too many axes": (lambda folder: changed(folder, axes=["z", "y", "x"]), "axes .* do not fit its pixels"),
    "no axes": (lambda folder: changed(folder, axes=None), "does not name its axes: got version 0.4"),
    "no datasets": (lambda folder: changed(folder, datasets=[]), "multiscales without datasets"),
    "a dataset elsewhere": (lambda folder: changed(folder, datasets=[{"path": "../b/0"}]), "lies outside of it"),
    "a dataset that is missing": (lambda folder: changed(folder, datasets=[{"path": "7"}]), "level 7 .* is missing"),
    "a corrupt chunk": (spoil_chunk, "cannot read .*damaged or unusual OME-Zarr"),
    "pickled objects": (use_pickle, "Objects are never unpickled"),
    "complex numbers": (lambda folder: claim(folder, dtype="<c8", fill_value=None), "dtype is no image: got complex64"),
    "text": (lambda folder: claim(folder, dtype="<U4", fill_value=None), "dtype is no image"),
    "an enormous shape": (lambda folder: claim(folder, shape=[10**9, 10**9]), "enormous"),
    "an enormous chunk": (lambda folder: claim(folder, chunks=[10**6, 10**6]), "a chunk .* is enormous"),
    "no pixels": (lambda folder: claim(folder, shape=[0, 9]), "no pixels"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_an_error_of_one_line(name: str, tmp_path: Path) -> None:
    spoil, expected = DAMAGES[name]
    source = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX")
    spoil(source)
    with pytest.raises(ImageError, match=expected) as caught:
        read(source)
    assert "a.zarr" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_ome_zarr_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(ImageError, match=r"empty\.zarr: this folder is no Zarr: got neither zarr\.json nor \.zgroup"):
        read(tmp_path / "empty.zarr")
    zarr.create_array(tmp_path / "array.zarr", data=noise(4, 4))
    with pytest.raises(ImageError, match="an array by itself"):
        read(tmp_path / "array.zarr")
    (tmp_path / "plain").mkdir()
    with pytest.raises(ImageError, match="plain is a folder"):
        read(tmp_path / "plain")


def test_images_below_are_named(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    ome_zarr(tmp_path / "a.zarr" / "0", noise(9, 9), "YX")
    with pytest.raises(ImageError, match=r"lie below it: got 0.*Denoise one at a time: .*a\.zarr/0"):
        read(tmp_path / "a.zarr")
    assert read(tmp_path / "a.zarr" / "0").axes == "YX"
    with pytest.raises(ConfigError, match="would be overwritten"):
        plan_jobs([str(tmp_path / "a.zarr" / "0")], str(tmp_path / "a.zarr"))


def test_several_multiscales_are_refused(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX")
    zarr.open_group(source).attrs["multiscales"] = [multiscale("YX", ["0"], "0.4")] * 2
    with pytest.raises(ImageError, match="several images: got 2 multiscales"):
        read(source)


def test_levels_must_fit(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX", levels=2)
    shutil.rmtree(source / "1")
    zarr.open_group(source).create_array("1", data=noise(10, 10))
    with pytest.raises(ImageError, match="level 1 of the OME-Zarr is larger"):
        read(source)


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(MissingExtraError, match=r'a\.zarr.*Run: pip install "noiseless\[microscopy\]"'):
        read(source)


def test_pixels_are_counted_without_decoding(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(2, 3, 9, 9), "ZCYX")
    spoil_chunk(source)
    assert pixel_count(source) == 2 * 81


def test_folders_and_patterns_find_it_as_one_image(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "in" / "deep" / "a.zarr", noise(9, 9), "YX", compressors=None)
    chunk = source / "0" / "0.0"
    png = tmp_path / "p.png"
    write(png, read(source))
    chunk.write_bytes(png.read_bytes())  # looks like an image, and is none
    assert find_images([source]) == [source]
    assert find_images([source.parent]) == [source]
    assert find_images([tmp_path / "in"], recursive=True) == [source]
    assert find_images([f"{tmp_path}/in/**"], recursive=True) == [source]
    assert find_images([f"{tmp_path}/in/**/*"]) == [source]
    (job,), _ = plan_jobs([str(tmp_path / "in")], str(tmp_path / "out"), recursive=True)
    assert job.target == tmp_path / "out" / "deep" / "a.zarr"


def test_one_image_goes_to_a_name_or_into_a_folder(tmp_path: Path) -> None:
    source = str(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX"))
    target = ome_zarr(tmp_path / "there.zarr", noise(9, 9), "YX")
    assert plan_jobs([source], str(target))[0][0].target == target
    assert plan_jobs([source], str(tmp_path / "new.zarr"))[0][0].target == tmp_path / "new.zarr"
    assert plan_jobs([source], str(tmp_path / "out"))[0][0].target == tmp_path / "out" / "a.zarr"
    for output, expected in (("-", "no pipe can take"), (source, "overwritten"), (f"{source}/in.zarr", "overwritten")):
        with pytest.raises(ConfigError, match=expected):
            plan_jobs([source], output)
    with pytest.raises(ConfigError, match="several images need a folder"):
        plan_jobs([source, str(target)], str(tmp_path / "both.zarr"))


def test_training_data_finds_it(tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "in" / "a.zarr", noise(9, 9), "YX")
    for given in (source, source.parent):
        (view,) = gather([given])
        assert (view.path, view.stem, len(view.sha256)) == (source, "a", 64)
        assert view.read()[0].shape == (1, 9, 9)
    before = view.sha256
    zarr.open_array(source / "0")[0, 0] = 1
    assert gather([source])[0].sha256 != before


def test_other_images_and_streams_are_refused(tmp_path: Path) -> None:
    image = read(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX"))
    write(tmp_path / "a.png", image)
    with pytest.raises(ImageError, match="not read from an OME-Zarr"):
        check_fits(read(tmp_path / "a.png"), "zarr", "b.zarr")
    with (tmp_path / "stream").open("wb") as stream, pytest.raises(ImageError, match="no stream can take"):
        write(stream, image)


def test_what_lies_at_the_target_is_replaced_only_by_a_whole_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = read(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX", levels=2))
    old = noise(9, 9)
    target = ome_zarr(tmp_path / "b.zarr", old, "YX")
    with pytest.raises(OutputError, match="there already"):
        write(target, image, overwrite=False)
    with monkeypatch.context() as patched:
        patched.setattr(pyramid, "make_level", lambda *given: 1 / 0)
        with pytest.raises(OutputError, match=r"cannot encode .*b\.zarr"):
            write(target, image)
    np.testing.assert_array_equal(pixels_of(target), old)
    write(target, image)
    np.testing.assert_array_equal(pixels_of(target), image.array)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "b.zarr"]


def test_other_folders_and_files_are_never_replaced(tmp_path: Path) -> None:
    image = read(ome_zarr(tmp_path / "a.zarr", noise(9, 9), "YX"))
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "dear.txt").write_text("keep")
    (tmp_path / "file.zarr").write_text("keep")
    for name in ("photos.zarr", "file.zarr", "absent/b.zarr"):
        with pytest.raises(OutputError, match="cannot write"):
            write(tmp_path / name, image)
    assert (tmp_path / "photos.zarr" / "dear.txt").read_text() == "keep"
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(ImageError, match="is gone"):
        write(tmp_path / "b.zarr", image)
    assert not (tmp_path / "b.zarr").exists()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS)
def test_only_our_errors_escape_from_damaged_metadata(version: str, tmp_path: Path) -> None:
    source = ome_zarr(tmp_path / "a.zarr", noise(2, 9, 9), "CYX", version, levels=2)
    files = sorted(path for path in source.rglob("*") if path.is_file())
    generator = np.random.default_rng(1)
    said = []
    for number in range(80):
        path = files[number % len(files)]
        whole = path.read_bytes()
        data = bytearray(whole)
        for _ in range(generator.integers(1, 6)):
            data[generator.integers(len(data))] = generator.choice([*b'0123456789"[]{},-ab', 0, 255])
        path.write_bytes(data)
        try:
            image = read(source, max_pixels=500_000)
            write(tmp_path / "b.zarr", image)
        except NoiselessError as error:
            said.append(str(error))
        path.write_bytes(whole)
    assert not [line for line in said if "\n" in line]
