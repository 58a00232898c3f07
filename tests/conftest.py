"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from noiseless.bundle import Bundle


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (benchmark sets, checkpoints); a test that needs it skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NOISELESS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"development data not found at {folder}; set NOISELESS_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def conditioned_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a tiny grey network that is told the noise level; random weights."""
    import tiny_models

    folder = tmp_path_factory.mktemp("models") / "tiny-gray"
    return tiny_models.save(tiny_models.conditioned_network(), folder, "unet_nano", tiny_models.CONDITIONED)


@pytest.fixture(scope="session")
def blind_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of a tiny blind colour network; random weights."""
    import tiny_models

    folder = tmp_path_factory.mktemp("models") / "tiny-color"
    return tiny_models.save(tiny_models.blind_network(), folder, "dncnn", tiny_models.BLIND)
