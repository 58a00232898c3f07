"""Configuration from TOML and back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from noiseless.errors import ConfigError, UnknownNameError
from noiseless.training.config import (
    DataConfig,
    RunConfig,
    Stage,
    TrainingConfig,
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
        ({"training": {"learning_rate": 1.0}}, "training"),
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
