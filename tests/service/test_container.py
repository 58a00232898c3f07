"""The container's files, and what they ask for tried without an engine of containers."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import numpy as np
import pytest

import noiseless

ROOT = Path(__file__).resolve().parents[2]

READ_ONLY = """
mount -t tmpfs tmpfs /mnt && mkdir /mnt/state /mnt/tmp && mount --bind "$1" /mnt/state || exit 99
mount -o remount,bind,ro / && ! touch "$HOME/written" 2>/dev/null || exit 99
shift
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
"""What `compose.yaml` asks for: nothing can be written but what is temporary and the state, without capabilities.

The temporary folder lies elsewhere than in a container, since these tests may run from below /tmp.
"""


def instructions(name: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_what_is_copied_exists_and_is_all_that_the_package_needs() -> None:
    copied = {part for line in instructions("COPY") for part in shlex.split(line)[:-1]}
    assert all((ROOT / part).exists() for part in copied)
    assert {"pyproject.toml", "README.md", "LICENSE", "src", "constraints.txt"} <= copied


def test_what_every_format_needs_is_installed_and_no_pytorch() -> None:
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', instructions("RUN")[0])
    needed = {format_.extra for format_ in noiseless.io.FORMATS.values() if format_.extra}
    assert {*needed, "serve", "video"} == set(extras.split(","))


def test_the_command_is_one_of_ours() -> None:
    command = json.loads(instructions("CMD")[-1])
    assert command[:2] == ["noiseless", "serve"]
    options = (ROOT / "src/noiseless/cli/serve.py").read_text(encoding="utf-8")
    for option in (word for word in command if word.startswith("--")):
        assert re.search(rf"\b{option.removeprefix('--').replace('-', '_')}: Annotated", options)


def test_no_root_runs_it() -> None:
    assert instructions("USER") == ["noiseless"]
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(r"useradd .*--uid [1-9]\d* noiseless", text)
    made, taken, run = (text.index(word) for word in ("useradd", "\nUSER ", '\nCMD ["noiseless"'))
    assert made < taken < run


def test_its_health_is_asked_of_a_route_that_there_is_at_the_port_that_it_listens_on() -> None:
    pytest.importorskip("fastapi", reason="the service needs the extra serve")
    from noiseless.service.routes import router

    check = instructions("HEALTHCHECK")[0]
    command = json.loads(instructions("CMD")[-1])
    port, path = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", check)[0]
    assert port == command[command.index("--port") + 1] == instructions("EXPOSE")[0]
    assert path in {route.path for route in router.routes}
    code = json.loads(check[check.index("[") :])
    compile(code[code.index("-c") + 1], "HEALTHCHECK", "exec")


def test_the_composition_is_read_only_but_for_its_state_and_asks_for_a_token() -> None:
    yaml = pytest.importorskip("yaml", reason="reading compose.yaml needs PyYAML")
    whole = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    service = whole["services"]["noiseless"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["tmpfs"] == ["/tmp"]
    (volume,) = service["volumes"]
    name, _, place = volume.partition(":")
    command = json.loads(instructions("CMD")[-1])
    assert name in whole["volumes"]
    assert place == instructions("VOLUME")[0] == command[command.index("--state") + 1]
    assert service["environment"]["NOISELESS_TOKEN"].startswith("${NOISELESS_TOKEN:?")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert "user" not in service, "the image's own"


@pytest.mark.parametrize("there", [True, False])
def test_the_checks_install_the_browser_where_there_is_none(tmp_path: Path, there: bool) -> None:
    line = next(line for line in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines() if "chromium" in line)
    asked = tmp_path / "asked"
    for name in ("apt-get", *(["chromium"] if there else [])):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
        (tmp_path / name).chmod(0o755)
    subprocess.run(["/bin/sh", "-c", line], check=True, env={"PATH": str(tmp_path)})
    said = asked.read_text() if asked.exists() else ""
    assert ("install -y -q chromium" in said) is not there


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_page_is_shown_in_the_readme(name: str) -> None:
    shown = re.findall(r"docs/pictures/page-[\w-]+\.webp", (ROOT / name).read_text(encoding="utf-8"))
    assert len(set(shown)) == 2
    for picture in shown:
        assert min(noiseless.read(ROOT / picture).array.shape[:2]) >= 760


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_serves_where_nothing_but_the_state_can_be_written(tmp_path: Path) -> None:
    if not all(map(shutil.which, ("unshare", "setpriv"))) or os.geteuid():
        pytest.skip("a file system that is read-only for one process needs root, unshare and setpriv")
    state = tmp_path / "state"
    state.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [{"8000": port, "/state": "/mnt/state"}.get(word, word) for word in json.loads(instructions("CMD")[-1])]
    isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-c", READ_ONLY, "sh", str(state)]
    asked = dict(word.split("=", 1) for word in shlex.split(instructions("ENV")[0]))
    environment = {**os.environ, **asked, "NOISELESS_TOKEN": "secret", "OMP_NUM_THREADS": "1", "TMPDIR": "/mnt/tmp"}
    whole = [*isolated, sys.executable, "-m", *command]
    with subprocess.Popen(whole, env=environment, cwd="/", stderr=subprocess.PIPE, text=True) as service:
        try:
            url = f"http://127.0.0.1:{port}"
            if _is_refused(service, url):
                pytest.skip("this machine lets nobody mount")
            _denoise(url)
            check = json.loads(instructions("HEALTHCHECK")[0].partition("CMD ")[2])[1:]
            health = [word.replace(":8000", f":{port}") for word in check]
            assert subprocess.run([sys.executable, *health], check=False).returncode == 0
        finally:
            service.terminate()
    assert service.returncode in (0, -15)
    assert (state / "service.sqlite").is_file()


def _is_refused(service: subprocess.Popen[str], url: str) -> bool:
    """Wait for the service; whether it could not be isolated."""
    until = time.monotonic() + 60
    while service.poll() is None:
        try:
            return httpx2.get(f"{url}/readyz", trust_env=False).status_code != 200
        except httpx2.TransportError:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert service.returncode == 99, service.stderr.read() if service.stderr else ""
    return True


def _denoise(url: str) -> None:
    """Send an image, large enough to be kept on the disk while it is received."""
    buffer = io.BytesIO()
    image = np.random.default_rng(0).integers(0, 256, (1100, 1000), np.uint8)
    noiseless.write(buffer, noiseless.Image.from_array(image), format="tiff")
    files = {"image": buffer.getvalue()}
    with httpx2.Client(base_url=url, timeout=60, trust_env=False) as client:
        assert client.post("/v1/denoise", files=files).status_code == 401
        client.headers["Authorization"] = "Bearer secret"
        answer = client.post("/v1/denoise", files=files, data={"strength": "0"})
        assert answer.status_code == 202, answer.text
        job = answer.json()["id"]
        assert '"state": "done"' in client.get(f"/v1/jobs/{job}/events").text
        assert client.get(f"/v1/jobs/{job}/result").content == buffer.getvalue()
