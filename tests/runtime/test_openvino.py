"""OpenVINO: what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from noiseless.bundle import Bundle

pytest.importorskip("openvino")

IMPORTED = """
import sys
from noiseless import bundle
from noiseless.runtime import open_engine
open_engine(bundle.read(sys.argv[1]), engine="openvino", threads=1)
assert not [name for name in sys.modules if name.startswith(("openvino_telemetry", "openvino.tools.ovc"))]
import openvino
from openvino.tools.ovc import convert_model
assert callable(openvino.convert_model)
assert "openvino.tools.ovc" in sys.modules
"""


def test_opening_a_model_imports_no_converter_and_reports_to_nobody(conditioned_bundle: Bundle) -> None:
    subprocess.run([sys.executable, "-c", IMPORTED, str(conditioned_bundle.path)], check=True)
