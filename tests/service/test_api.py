"""The routes that answer directly, through the whole application but the socket."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import noiseless
from noiseless.errors import ConfigError
from noiseless.service.settings import ServiceSettings

pytest.importorskip("fastapi", reason="the service needs the extra serve")

from fastapi.testclient import TestClient

from noiseless.service import guard
from noiseless.service.app import create_app
from noiseless.service.logs import Log
from noiseless.service.pipeline import result_name
from noiseless.service.uploads import shown_name

LOCAL = "http://127.0.0.1"


def noisy(height: int = 40, width: int = 48, dtype: str = "uint8") -> np.ndarray:
    """A grey ramp with noise."""
    generator = np.random.default_rng(3)
    ramp = np.linspace(0.2, 0.8, width)[None, :] + generator.normal(0, 0.08, (height, width))
    return (ramp.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


def file_of(array: np.ndarray, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    noiseless.write(buffer, noiseless.Image.from_array(array), format=kind)
    return buffer.getvalue()


def settings(folder: Path, **changes: object) -> ServiceSettings:
    return ServiceSettings(state=str(folder), threads=1, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, log: io.StringIO) -> Iterator[TestClient]:
    app = create_app(settings(tmp_path_factory.mktemp("state")), Log(log))
    with TestClient(app, base_url=LOCAL, raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, data: bytes, route: str = "denoise", name: str = "a.png", **more: object) -> object:
    fields = {key: str(value) for key, value in more.items() if key != "headers"}
    return client.post(f"/v1/{route}", files={"image": (name, data)}, data=fields, headers=more.get("headers"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "dtype"), [("png", "uint16"), ("tiff", "uint16"), ("npy", "uint8"), ("webp", "uint8")]
)
def test_an_image_comes_back_in_its_own_format_and_as_the_command_line_makes_it(
    client: TestClient, kind: str, dtype: str, tmp_path: Path
) -> None:
    array = noisy(dtype=dtype)
    given = file_of(array if kind != "webp" else np.dstack([array] * 3), kind)
    answer = post(client, given, name=f"image.{kind}", model="gray-small", noise="gaussian:20", strength=0.75)
    assert answer.status_code == 200, answer.text
    got = noiseless.read(io.BytesIO(answer.content))
    assert got.metadata["format"] == kind
    asked, made = tmp_path / f"in.{kind}", tmp_path / f"out.{kind}"
    asked.write_bytes(given)
    from noiseless.cli import run

    options = ["--model", "gray-small", "--sigma", "20", "--strength", "0.75"]
    assert run(["denoise", str(asked), "-o", str(made), *options]) == 0
    assert np.array_equal(got.array, noiseless.read(made).array)
    assert answer.headers["x-noiseless-model"] == "gray-small"
    assert float(answer.headers["x-noiseless-noise"].split(",")[0]) == pytest.approx(20, abs=0.01)
    assert f'filename="image.{kind}"' in answer.headers["content-disposition"]


def test_numbers_are_answered_where_they_are_asked_for(client: TestClient) -> None:
    answer = post(client, file_of(noisy(128, 128)), headers={"Accept": "application/json"}, noise="auto")
    numbers = answer.json()
    assert numbers["model"] == "gray-small"
    assert numbers["estimated"][0] == pytest.approx(0.08 * 255, rel=0.2)
    assert 0.5 < numbers["removed"] / numbers["estimated"][0] < 1.5
    assert numbers["image"]["format"] == "png"
    assert (numbers["image"]["width"], numbers["image"]["height"], numbers["image"]["bits"]) == (128, 128, 8)


def test_an_image_that_was_denoised_before_is_answered_with_a_warning(client: TestClient) -> None:
    once = post(client, file_of(noisy()))
    again = post(client, once.content, headers={"Accept": "application/json"}).json()
    assert "denoised-before" in [warning["code"] for warning in again["warnings"]]


def test_noise_unlike_what_the_model_knows_is_answered_with_a_warning(client: TestClient) -> None:
    numbers = {"headers": {"Accept": "application/json"}}
    strong = post(client, file_of(noisy()), noise="gaussian:120", **numbers).json()
    assert "stronger-noise" in [warning["code"] for warning in strong["warnings"]]
    white = np.random.default_rng(0).normal(0, 1, (130, 130))
    soft = sum(np.roll(white, shift, (0, 1)) for shift in ((0, 0), (0, 1), (1, 0), (1, 1)))
    blotchy = (128 + 8 * soft[1:129, 1:129]).clip(0, 255).astype(np.uint8)
    codes = [warning["code"] for warning in post(client, file_of(blotchy), **numbers).json()["warnings"]]
    assert "correlated-noise" in codes
    assert "stronger-noise" not in codes


def test_the_audit_log_says_who_ran_which_model_on_what_hash(tmp_path: Path) -> None:
    data, bearer = file_of(noisy()), {"Authorization": "Bearer secret"}
    app = create_app(settings(tmp_path, token="secret", direct_pixels=2000), Log(io.StringIO()))
    with TestClient(app, base_url=LOCAL, headers=bearer) as client:
        assert post(client, data, name="patient-name.png", model="gray-small", strength=0.5).status_code == 200
        assert post(client, b"rubbish").status_code == 422
        job = post(client, file_of(noisy(50, 50))).json()["id"]
        assert '"state": "done"' in client.get(f"/v1/jobs/{job}/events").text
    with sqlite3.connect(tmp_path / "service.sqlite") as connection:
        rows = connection.execute("SELECT client, model, digest, options, job, moment FROM audit").fetchall()
    connection.close()
    trace = hashlib.sha256(b"secret").hexdigest()[:8]
    assert [row[:2] for row in rows] == [(f"testclient token:{trace}", "gray-small")] * 2
    assert [row[2] for row in rows] == [hashlib.sha256(each).hexdigest() for each in (data, file_of(noisy(50, 50)))]
    assert [json.loads(row[3])["strength"] for row in rows] == [0.5, 1.0]
    assert [row[4] for row in rows] == ["", job]
    assert all(abs(row[5] - time.time()) < 60 for row in rows)
    assert "patient-name" not in str(rows)


@pytest.mark.parametrize("name", ["../../etc/passwd.png", "C:\\scans\\passwd.png", "a\x00/b/passwd.png", "..", ""])
def test_a_name_with_a_path_is_only_a_name(client: TestClient, name: str) -> None:
    answer = post(client, file_of(noisy()), name=name or "image")
    assert answer.headers["content-disposition"].startswith('attachment; filename="')
    assert shown_name(name) == ("passwd.png" if "passwd" in name else "image")
    assert "/" not in result_name(shown_name(name), ".png")


def test_every_request_has_an_id_of_its_own_which_the_log_says(client: TestClient, log: io.StringIO) -> None:
    answers = [client.get("/healthz", headers={"X-Request-ID": "mine"}) for _ in range(3)]
    said = [answer.headers["x-request-id"] for answer in answers]
    assert len({*said, "mine"}) == 4
    assert [json.loads(line)["request_id"] for line in log.getvalue().splitlines()[-3:]] == said


def test_calibrate_gives_a_noise_that_denoise_takes(client: TestClient) -> None:
    data = file_of(noisy(128, 128))
    found = post(client, data, "calibrate").json()
    assert found["sigma"][0] == pytest.approx(0.08 * 255, rel=0.2)
    assert found["kind"] in ("gaussian", "poisson-gaussian")
    assert found["lines"]
    for noise in (found["spec"], json.dumps(found["noise"])):
        assert post(client, data, noise=noise, strength=0.1).status_code == 200


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "gray-smal"}, "Did you mean gray-small"),
        ({"model": "/etc"}, "unknown model '/etc'"),
        ({"model": "../weights/gray-small"}, "unknown model"),
        ({"noise": "gausian:3"}, "Did you mean gaussian"),
        ({"noise": "gaussian:5-50", "model": "gray-small"}, "a range is no noise level"),
        ({"noise": "{}"}, "not a noise model"),
        ({"noise": '{"a":' + "[" * 1900}, "the noise is not JSON"),
        ({"noise": '{"kind": "gaussian", "sigma": 1' + "0" * 400 + "}"}, "out of range"),
        ({"noise": "+".join(["jpeg:30"] * 9)}, "too many parts"),
        ({"strength": "1.5"}, "expected a number from 0 to 1"),
        ({"strength": "nan"}, "expected a number from 0 to 1"),
        ({"precision": "exakt"}, "Did you mean exact"),
        ({"modell": "auto"}, "unknown field 'modell'. Did you mean model?"),
    ],
)
def test_fields_that_do_not_fit_are_422_with_a_sentence(client: TestClient, fields: dict[str, str], words: str) -> None:
    answer = post(client, file_of(noisy()), **fields)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_what_is_no_image_is_422(client: TestClient) -> None:
    whole = file_of(noisy())
    for data in (b"", b"rubbish", whole[:60], b"%PDF-1.5 and so on", whole[:-30]):
        answer = post(client, data)
        assert answer.status_code == 422
        assert "the stream" not in answer.text
        assert "\n" not in answer.json()["detail"]


def test_floats_without_a_range_are_422_with_a_way_out_that_there_is(client: TestClient) -> None:
    file = io.BytesIO()
    np.save(file, 1000 * np.random.default_rng(0).random((32, 32), np.float32))
    for route in ("denoise", "calibrate"):
        answer = post(client, file.getvalue(), route)
        assert answer.status_code == 422
        assert "the upload holds floats far outside [0, 1]" in answer.json()["detail"]
        assert "data_range=LOW,HIGH" in answer.json()["detail"]


def test_data_range_says_which_values_are_black_and_white(client: TestClient) -> None:
    array = (3000 * noisy().astype(np.float32) / 255 - 1000).astype(np.float32)
    file = io.BytesIO()
    np.save(file, array)
    asked = {"model": "gray-nano", "noise": "gaussian:20", "data_range": "-1000, 2000"}
    answer = post(client, file.getvalue(), **asked)
    assert answer.status_code == 200, answer.text
    got = np.load(io.BytesIO(answer.content))
    expected = noiseless.denoise(array, model="gray-nano", noise="gaussian:20", data_range=(-1000, 2000))
    assert np.allclose(got, expected, atol=0.05)
    assert not np.allclose(got, array, atol=10)
    told = post(client, file.getvalue(), "calibrate", data_range="-1000,2000").json()
    assert told["sigma"][0] == pytest.approx(0.08 * 255, rel=0.3)
    halved = post(client, file.getvalue(), "calibrate", data_range="-1000,5000").json()
    assert halved["sigma"][0] == pytest.approx(told["sigma"][0] / 2, rel=0.05)


@pytest.mark.parametrize("said", ["white", "0,1,2", "1,", "5,5", "7,3", "nan", "0,inf", "0", "1e-300", "-1e300,1e300"])
def test_a_data_range_that_is_none_is_422(client: TestClient, said: str) -> None:
    for route in ("denoise", "calibrate"):
        answer = post(client, file_of(noisy()), route, data_range=said)
        assert answer.status_code == 422
        assert "data_range" in answer.json()["detail"]
        assert "floats" not in answer.json()["detail"]


def test_forms_that_do_not_fit_are_4xx(client: TestClient) -> None:
    assert client.post("/v1/denoise", content=b"x").status_code == 415
    assert client.post("/v1/denoise", data={"image": "text"}, files={"other": b""}).status_code == 422
    assert client.post("/v1/denoise", data={"image": "text"}, files={"model": b"x"}).status_code == 422
    boundary = {"content-type": "multipart/form-data"}
    assert client.post("/v1/denoise", content=b"--x", headers=boundary).status_code == 400
    assert client.get("/v1/denoise").status_code == 405
    many = [("image", (f"{number}.png", file_of(noisy()))) for number in range(3)]
    assert client.post("/v1/denoise", files=many).status_code == 400


def test_health_readiness_models_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ready"}
    offered = client.get("/v1/models").json()
    assert {"gray-small", "color-small"} <= {model["name"] for model in offered["models"]}
    text = client.get("/metrics").text
    assert 'noiseless_requests_total{method="GET",route="/healthz",status="200"}' in text


def test_every_answer_carries_safe_headers_and_no_page_of_others_may_call(client: TestClient) -> None:
    for path in ("/", "/docs", "/healthz", "/v1/models", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert client.get("/v1/models").headers["cache-control"] == "no-store"
    for origin in ("http://elsewhere.example", "http://[", "null"):
        assert post(client, file_of(noisy()), headers={"Origin": origin}).status_code == 403
    assert client.get("/v1/models", headers={"Host": "elsewhere.example"}).status_code == 421


def test_logs_are_json_and_name_no_image(client: TestClient, log: io.StringIO) -> None:
    post(client, file_of(noisy()), name="patient-name.png")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert {"time", "event", "request_id", "method", "path", "status", "milliseconds", "client"} <= set(lines[-1])
    assert "patient-name" not in log.getvalue()


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path, token="secret", host="0.0.0.0"), Log(io.StringIO()))
    with TestClient(app, base_url="http://lab.example") as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200
        for value in ("", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer secret2"):
            refused = client.get("/v1/models", headers={"Authorization": value} if value else {})
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
        assert client.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200
        assert post(client, file_of(noisy()), headers={"Authorization": "Bearer wrong"}).status_code == 401


@pytest.mark.parametrize("same", [True, False])
def test_the_token_is_compared_in_constant_time_and_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda *both: compared.append(both) or same)
    with TestClient(create_app(settings(tmp_path, token="secret"), Log(io.StringIO())), base_url=LOCAL) as client:
        for given in ("secret", "secreT", "s"):
            answer = client.get("/v1/models", headers={"Authorization": f"Bearer {given}"})
            assert answer.status_code == (200 if same else 401)
    assert compared == [(given, b"secret") for given in (b"secret", b"secreT", b"s")]


def test_a_token_that_is_not_ascii_is_refused_and_none_can_be_set(tmp_path: Path) -> None:
    with TestClient(create_app(settings(tmp_path, token="secret"), Log(io.StringIO())), base_url=LOCAL) as client:
        for given in ("gehe\u00efm".encode("latin-1"), "\u4ee4\u724c".encode(), b"\xff\xfe", b""):
            answer = client.get("/v1/models", headers={"Authorization": b"Bearer " + given})
            assert (answer.status_code, answer.json()["detail"][:18]) == (401, "a token is needed:")
    for token in ("gehe\u00efm", "\u4ee4\u724c", "two\nlines"):
        with pytest.raises(ConfigError, match="does not fit into an HTTP header"):
            create_app(settings(tmp_path, token=token))


@pytest.mark.parametrize("wrong", [{"threads": -1}, {"max_stored": 0}, {"time_limit": float("nan")}])
def test_limits_are_more_than_nothing(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"does not fit: got .*, expected more than 0"):
        ServiceSettings(**wrong).checked()  # type: ignore[arg-type]


def test_other_machines_need_a_token_unless_told_otherwise(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no token"):
        create_app(settings(tmp_path, host="0.0.0.0"))
    create_app(settings(tmp_path, host="0.0.0.0", insecure=True))
    create_app(settings(tmp_path, host="::1"))


def test_limits_are_checked_before_anything_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings(tmp_path, max_upload=20_000, max_pixels=1000), Log(io.StringIO()))
    with TestClient(app, base_url=LOCAL) as client:
        large = post(client, b"\0" * 30_000)
        assert large.status_code == 413
        assert "20000 bytes" in large.json()["detail"]
        chunks = client.post(
            "/v1/denoise",
            content=iter(
                [b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n', *[b"0" * 9000] * 4]
            ),
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
        assert chunks.status_code == 413
        monkeypatch.setattr("noiseless.service.pipeline.decode", lambda *_: pytest.fail("decoded"))
        many = post(client, file_of(noisy()))
        assert many.status_code == 413
        assert "1920 pixels" in many.json()["detail"]
        assert "NOISELESS_MAX_PIXELS" not in many.text


def test_a_full_queue_is_429_and_says_when_to_come_again(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path, queue=1), Log(io.StringIO()))
    with TestClient(app, base_url=LOCAL) as client, app.state.parts.pipeline.queue.place(9):
        answer = post(client, file_of(noisy()))
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1


def test_who_would_wait_too_long_is_sent_away_before_and_after_the_upload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = create_app(settings(tmp_path, longest_wait=5), Log(io.StringIO()))
    with TestClient(app, base_url=LOCAL) as client:
        queue, data = app.state.parts.pipeline.queue, file_of(noisy())
        queue.expect(100_000)
        pixels = 3_000_000
        with queue.work(pixels):
            answer = post(client, data)
            assert answer.status_code == 429
            assert 25 <= int(answer.headers["retry-after"]) <= 60
            assert "noiseless_expected_wait_seconds 30.0" in client.get("/metrics").text
            assert client.post("/v1/jobs", files={"image": data}).status_code == 202
            monkeypatch.setattr("noiseless.service.routes.received", lambda *_: pytest.fail("received"))
            assert post(client, data).status_code == 429
            monkeypatch.undo()
            check = queue.check
            seen: list[None] = []
            monkeypatch.setattr(queue, "check", lambda: check() if seen else seen.append(None))
            assert post(client, data).status_code == 429
            monkeypatch.undo()
        assert queue.wait == 0
        assert post(client, data).status_code == 200
        assert queue.here == 0


def test_pages_of_other_servers_may_call_where_they_are_named(tmp_path: Path) -> None:
    viewer = "http://viewer.example"
    with TestClient(create_app(settings(tmp_path, origins=(viewer,)), Log(io.StringIO())), base_url=LOCAL) as client:
        answer = post(client, file_of(noisy()), headers={"Origin": viewer})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, viewer)
        stranger = post(client, file_of(noisy()), headers={"Origin": "http://elsewhere.example"})
        assert stranger.status_code == 403
        assert "access-control-allow-origin" not in stranger.headers


def test_pages_of_other_servers_may_ask_whether_they_may_send_the_token(tmp_path: Path) -> None:
    viewer = "http://viewer.example"
    app = create_app(settings(tmp_path, origins=(viewer,), token="secret"), Log(io.StringIO()))
    with TestClient(app, base_url=LOCAL) as client:
        for origin, status in ((viewer, 200), ("http://elsewhere.example", 400)):
            asked = {"Origin": origin, "Access-Control-Request-Headers": "authorization"}
            for method in ("GET", "POST", "DELETE"):
                answer = client.options("/v1/denoise", headers=asked | {"Access-Control-Request-Method": method})
                assert answer.status_code == status, answer.text
        refused = post(client, file_of(noisy()), headers={"Origin": viewer})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, viewer)
        given = {"Origin": viewer, "Authorization": "Bearer secret"}
        assert post(client, file_of(noisy()), headers=given).status_code == 200


def test_methods_that_there_are_not_are_counted_as_one(client: TestClient) -> None:
    for number in range(3):
        assert client.request(f"MADEUP{number}", "/v1/models").status_code == 405
    text = client.get("/metrics").text
    assert "MADEUP" not in text
    assert 'noiseless_requests_total{method="other"' in text
