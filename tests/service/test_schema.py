"""The service keeps what its OpenAPI schema says, whatever is sent: schemathesis, then damaged files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import noiseless.io
from service_process import Service, file_of, noisy

pytest.importorskip("fastapi", reason="the service needs the extra serve")
schemathesis = pytest.importorskip("schemathesis", reason="the schema test needs schemathesis")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

EXAMPLES = 30
CHECKS = ("not_a_server_error", "status_code_conformance", "response_schema_conformance")
MUTATED = 150
"""Damaged files of each format."""

FORMATS = {
    "png": "uint16",
    "jpeg": "uint8",
    "webp": "uint8",
    "avif": "uint8",
    "tiff": "uint16",
    "bmp": "uint8",
    "netpbm": "uint8",
    "npy": "uint8",
}
"""Formats that need no extra, and a depth that each holds."""

EXTRAS = {
    "dicom": "pydicom",
    "nifti": "nibabel",
    "nifti.gz": "nibabel",
    "raw": "rawpy",
    "exr": "OpenEXR",
    "heic": "pillow_heif",
}
"""Formats that need one, and what reads them."""


@pytest.fixture(scope="module")
def operations(service: Service) -> dict[str, Any]:
    """What the schema of the running service lists, by method and path."""
    schema = schemathesis.openapi.from_url(f"{service.url}openapi.json")
    return {operation.ok().label: operation.ok() for operation in schema.get_all_operations()}


WITHOUT_PARAMETERS = ("GET /v1/models", "GET /v1/samples", "GET /healthz", "GET /readyz", "GET /metrics")
OPERATIONS = (
    "POST /v1/denoise",
    "POST /v1/calibrate",
    "POST /v1/jobs",
    "GET /v1/jobs/{job}",
    "DELETE /v1/jobs/{job}",
    "GET /v1/jobs/{job}/events",
    "GET /v1/jobs/{job}/result",
    "GET /v1/jobs/{job}/preview/{which}",
    "GET /v1/samples/{name}",
    "GET /v1/samples/{name}/preview",
    *WITHOUT_PARAMETERS,
)


def test_every_operation_is_tested(operations: dict[str, Any]) -> None:
    assert set(operations) == set(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_the_schema_holds(operations: dict[str, Any], label: str) -> None:
    """No 5xx, no status or body that the schema does not have, for what fits it and for what does not."""
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]
    modes = schemathesis.GenerationMode
    fitting, other = (operations[label].as_strategy(generation_mode=mode) for mode in (modes.POSITIVE, modes.NEGATIVE))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=fitting if label in WITHOUT_PARAMETERS else fitting | other)
    def holds(case: Any) -> None:
        case.validate_response(case.call(), checks=checks)

    holds()


def mutations(data: bytes, generator: np.random.Generator) -> Iterator[bytes]:
    """Damaged copies: cut, bytes changed (in the header or anywhere), a part left out, doubled or replaced."""
    for number in range(MUTATED):
        copy = bytearray(data)
        reach = min(len(data), 200) if number % 2 else len(data)
        for _ in range(int(generator.integers(1, 9))):
            copy[int(generator.integers(reach))] = int(generator.integers(256))
        start, stop = sorted(int(place) for place in generator.integers(0, len(data), 2))
        kinds = (
            bytes(copy),
            data[:start],
            data[:start] + data[stop:],
            data[:stop] + data[start:],
            data[:start] + generator.bytes(stop - start) + data[stop:],
        )
        yield kinds[number % len(kinds)]


def whole_file(kind: str) -> bytes:
    """A small file of a format."""
    if kind in FORMATS:
        return file_of(noisy(12, 16, dtype=FORMATS[kind], channels=3), kind)
    pytest.importorskip(EXTRAS[kind], reason=f"{kind} needs an extra")
    if kind == "raw":
        from raw_files import dng

        return dng(256 + noisy(32, 48, dtype="uint16"))
    if kind == "dicom":
        from dicom_files import dicom

        return dicom(noisy(12, 16, dtype="uint16"), WindowCenter=2000, WindowWidth=3000)
    if kind == "heic":
        from heic_files import heic

        return heic(noisy(12, 16, dtype="uint8", channels=3))
    if kind == "exr":
        from exr_files import exr, planes

        return exr(planes("RGB"))
    from nifti_files import nifti

    data = nifti(noisy(12, 16, dtype="uint16"))
    return gzip.compress(data) if kind == "nifti.gz" else data


def test_every_format_of_files_is_damaged() -> None:
    assert {key for key, format_ in noiseless.io.FORMATS.items() if not format_.folder} <= {*FORMATS, *EXTRAS}


@pytest.mark.parametrize("kind", [*FORMATS, *EXTRAS])
def test_damaged_files_are_4xx_with_a_sentence(service: Service, kind: str) -> None:
    """Never a 5xx, never a hang; a change that leaves a readable image is answered with one."""
    generator = np.random.default_rng([*FORMATS, *EXTRAS].index(kind))
    whole = whole_file(kind)
    refused = 0
    with httpx2.Client(base_url=service.url, timeout=30, trust_env=False) as client:
        assert client.post("/v1/denoise", files={"image": ("whole", whole)}).status_code == 200
        for number, data in enumerate(mutations(whole, generator)):
            route = "calibrate" if number % 5 == 4 else "denoise"
            answer = client.post(f"/v1/{route}", files={"image": ("damaged", data)})
            assert answer.status_code < 500, (number, answer.text)
            if answer.status_code >= 400:
                refused += 1
                detail = answer.json()["detail"]
                assert detail
                assert "\n" not in detail
                assert len(detail) < 600
        assert client.get("/readyz").status_code == 200
    assert refused > MUTATED / 5


def test_the_state_holds_nothing_that_clients_named(service: Service) -> None:
    names = {path.name for path in Path(service.state).rglob("*")}
    assert not any("damaged" in name for name in names)
