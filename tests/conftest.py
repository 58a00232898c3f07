"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (benchmark sets, checkpoints); a test that needs it skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NOISELESS_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"development data not found at {folder}; set NOISELESS_DATA to its folder")
    return folder
