"""The models that a service offers."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from noiseless import bundle as bundles
from noiseless.bundle import Bundle
from noiseless.errors import ConfigError, UnknownNameError
from noiseless.runtime.machine import processors

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from noiseless.service.models import Models, trained_levels
from noiseless.service.pipeline import Pipeline
from noiseless.service.settings import ServiceSettings


def test_a_model_is_loaded_once_in_an_engine_that_stays(conditioned_bundle: Bundle) -> None:
    models = Models([str(conditioned_bundle.path)], threads=1)
    assert set(models.names) == {conditioned_bundle.name, *bundles.shipped()}
    for name in models.names:
        engine = models.get(name).engine
        assert engine.name == "onnxruntime"
        assert not hasattr(engine, "prepare"), "no measurement in the middle of the work"
        assert models.get(name) is models.get(name)


@pytest.mark.parametrize("threads", [None, 1, 3])
def test_no_more_threads_work_than_there_are_cores(threads: int | None, tmp_path: Path) -> None:
    wanted, settings = (
        min(threads or processors(), os.cpu_count() or 1),
        ServiceSettings(state=str(tmp_path), threads=threads),
    )
    session = Models(threads=threads).get("gray-small").engine._session  # type: ignore[attr-defined]
    assert session.get_session_options().intra_op_num_threads == wanted
    pipeline = Pipeline(settings, None)  # type: ignore[arg-type]
    assert pipeline._pool._max_workers == wanted
    pipeline.close()


def test_only_white_noise_has_levels_that_were_learned(conditioned_bundle: Bundle) -> None:
    sigma = {"low": 0.0, "high": 0.2}
    white, soft = (replace(conditioned_bundle, noise={"kind": kind, "sigma": sigma}) for kind in ("gaussian", "rician"))
    assert trained_levels(white) == (0.0, 0.2)
    assert trained_levels(soft) is None


def test_a_precision_that_there_is_not_is_said(conditioned_bundle: Bundle) -> None:
    engine = Models([str(conditioned_bundle.path)], threads=1).get(conditioned_bundle.name, "int8").engine
    assert engine.precision != "int8"
    assert "has no int8 graph" in engine.note


def test_names_are_those_offered_and_no_paths(conditioned_bundle: Bundle) -> None:
    models = Models(threads=1)
    for name in (conditioned_bundle.name, str(conditioned_bundle.path), "gray-smal"):
        with pytest.raises(UnknownNameError):
            models.get(name)
    with pytest.raises(ConfigError, match="two models have one name"):
        Models([str(conditioned_bundle.path)] * 2)
