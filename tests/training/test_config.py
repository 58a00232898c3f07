"""Configuration from TOML and back."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from noiseless.errors import ConfigError, UnknownNameError
from noiseless.training.config import (
    DataConfig,
    RunConfig,
    Stage,
    TrainingConfig,
    check_kind,
    from_mapping,
    read_recipe,
    to_mapping,
    write_toml,
)


def test_round_trip_through_toml() -> None:
    config = RunConfig(
        network="dncnn",
        arguments={"channels": 1, "widths": [8, 16]},
        noise="gaussian:25",
        minutes=1.5,
        data=DataConfig(clean=("a b", 'quo"te\\')),
        training=TrainingConfig(stages=(Stage(0.0, 64, 16), Stage(0.5, 128, 4))),
    )
    again = from_mapping(RunConfig, tomllib.loads(write_toml(to_mapping(config))))
    assert again == config


def test_stages_may_be_written_as_rows() -> None:
    config = from_mapping(RunConfig, {"training": {"stages": [[0.0, 64, 16], [0.7, 128, 4]]}})
    assert config.training.stage(0.69) == Stage(0.0, 64, 16)
    assert config.training.stage(0.7) == Stage(0.7, 128, 4)


@pytest.mark.parametrize(
    ("mapping", "match"),
    [
        ({"trainin": {}}, "training"),
        ({"training": {"learning_rate": 1.0}}, "Did you mean"),
        ({"training": {"batchsize": 4}}, "training.batch_size"),
    ],
)
def test_unknown_keys_name_the_closest(mapping: dict[str, object], match: str) -> None:
    with pytest.raises(UnknownNameError, match=match):
        from_mapping(RunConfig, mapping)


@pytest.mark.parametrize(
    "mapping",
    [
        {"steps": "many"},
        {"steps": True},
        {"training": {"lr": "fast"}},
        {"training": {"precision": "int4"}},
        {"data": {"clean": "not a list"}},
    ],
)
def test_wrong_values_say_what_was_expected(mapping: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        from_mapping(RunConfig, mapping)


def test_a_recipe_that_is_missing_or_not_toml_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_recipe(tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("a = = 1")
    with pytest.raises(ConfigError, match="not TOML"):
        read_recipe(bad)


def test_python_may_give_paths_lists_and_what_numpy_has() -> None:
    """They were refused, or written into a config.toml that no resumed run could read."""
    folder: Any = Path("photos")
    data: dict[str, Any] = {"clean": [folder], "validation": (folder, "b"), "data": folder, "data_range": [0, 4095]}
    training: dict[str, Any] = {
        "lr": np.float32(0.5),
        "patch_size": np.int64(32),
        "clip_norm": 1,
        "decay_at": np.array([0.25, 0.5]),
        "stages": [[0, 64, 16], Stage(0.5, 128, 4)],
        "wandb": np.bool_(False),
    }
    arguments = {"channels": np.int64(1), "widths": (8, 16), "skip": None}
    given = RunConfig("dncnn", arguments, start=folder, data=DataConfig(**data), training=TrainingConfig(**training))
    settled = check_kind(given, RunConfig, "")
    assert settled == RunConfig(
        "dncnn",
        {"channels": 1, "widths": (8, 16), "skip": None},
        start="photos",
        data=DataConfig(clean=("photos",), validation=("photos", "b"), data="photos", data_range=(0.0, 4095.0)),
        training=TrainingConfig(
            lr=0.5,
            patch_size=32,
            clip_norm=1.0,
            decay_at=(0.25, 0.5),
            stages=(Stage(0.0, 64, 16), Stage(0.5, 128, 4)),
        ),
    )
    written = tomllib.loads(write_toml(to_mapping(settled)))
    assert written["arguments"] == {"channels": 1, "widths": [8, 16]}
    assert from_mapping(RunConfig, written).training == settled.training
    assert check_kind(RunConfig(data=data), RunConfig, "").data == settled.data  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"training\.batch_size .*expected a whole number"):
        check_kind(RunConfig(training=TrainingConfig(batch_size=2.5)), RunConfig, "")  # type: ignore[arg-type]


def test_text_for_a_number_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"lr does not fit: got fast, expected 0 or more"):
        TrainingConfig(lr="fast")  # type: ignore[arg-type]
