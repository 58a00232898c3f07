"""ONNX Runtime as exporting needs it: on the processor, silent, with settings for one purpose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ERRORS = 3


def open_session(model: bytes | Path, **settings: Any) -> Any:
    """A session that runs a graph.

    Args:
        model: serialised, or its file.
        settings: attributes of `onnxruntime.SessionOptions`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    for name, value in {"log_severity_level": ERRORS, **settings}.items():
        setattr(options, name, value)
    source = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
