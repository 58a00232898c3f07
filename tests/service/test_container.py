from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def instructions(name: str) -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]


def test_what_is_copied_exists_and_is_all_that_the_package_needs() -> None:
    copied = {part for line in instructions("COPY") for part in shlex.split(line)[:-1]}
    assert all((ROOT / part).exists() for part in copied)
    assert {"pyproject.toml", "README.md", "LICENSE", "src", "constraints.txt"} <= copied


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
