"""What is wrong, missing or there already is told before torch is imported, which takes seconds, and data are read.

What is wrong comes before what is missing: those who correct it need not be told twice.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import noiseless

LEARN = ["--clean", "clean", "--noise", "gaussian:25", "--steps", "2"]
GONE = ["--clean", "gone", "--noise", "gaussian:25", "--steps", "2"]

MISTAKES = [
    (["denoise", "clean", "-o", "out", "--adapter", "gone.safetensors"], "no adapter at gone.safetensors"),
    (["denoise", "clean", "-o", "out", "--adapter", "old"], "no adapter at old/adapter.safetensors"),
    (["denoise", "clean", "-o", "out", "--adapter", "text"], "text is not a whole adapter"),
    (["denoise", "clean", "-o", "out", "--model", "gray-smal"], "Did you mean gray-small"),
    (["denoise", "clean", "-o", "out", "--model", "gone/best"], "no model at gone/best"),
    (["denoise", "clean", "-o", "out", "--mask", "gone.png"], "gone.png does not exist"),
    (["denoise", "clean", "-o", "out", "--set", "sigma_map=gone.tif"], "gone.tif does not exist"),
    (["train", *LEARN, "-o", "old"], "old already holds a run. Go on with --resume"),
    (["train", *LEARN, "-o", "run", "--set", "start=gray-smal"], "Did you mean gray-small"),
    (["train", *LEARN, "-o", "run", "--network", "unett"], "unknown network 'unett'. Did you mean"),
    (["train", *GONE, "-o", "run"], "gone does not exist"),
    (["train", "-o", "run", "--objective", "supervize"], "unknown objective 'supervize'. Did you mean supervised"),
    (["train", "-o", "run", "--loss", "l1+0.1*sim"], "unknown loss 'sim'. Did you mean ssim"),
    (["train", "-o", "run", "--adversarial", "pgd:2"], "an attack does not fit: got 'pgd:2'"),
    (["train", "-o", "run", "--set", "training.optimizer=adan"], "unknown optimizer 'adan'. Did you mean adam"),
    (["train", "-o", "run", "--set", "training.schedule=cosin"], "unknown schedule 'cosin'. Did you mean cosine"),
    (["finetune", "gray-smal", *LEARN, "-o", "run"], "Did you mean gray-small"),
    (["finetune", "old", *LEARN, "-o", "run"], "old is not a model bundle"),
    (["finetune", "gray-nano", *LEARN, "-o", "old"], "old already holds a run"),
    (["finetune", "gray-nano", *GONE, "-o", "run"], "gone does not exist"),
    (["evaluate", "gray-smal", "--clean", "clean", "--noise", "gaussian:25"], "Did you mean gray-small"),
    (["evaluate", "gray-nano", "gone/best", "--noisy", "clean"], "no model at gone/best"),
    (["select", "--noisy", "clean", "--model", "gray-smal"], "Did you mean gray-small"),
    (["export", "gray-smal", "-o", "out"], "Did you mean gray-small"),
    (["tune", "color-nano", "--trials", "2", "--model", "gray-smal"], "Did you mean gray-small"),
]

WATCHED = """
import contextlib, io, json, sys
looked = []

def watch(event, arguments):
    if event in ("open", "os.listdir", "os.scandir") and "clean" in str(arguments[0]):
        looked.append(str(arguments[0]))

sys.addaudithook(watch)
from noiseless.__main__ import main
told = []
for arguments in json.load(sys.stdin):
    looked.clear()
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main(arguments)
    told.append([code, said.getvalue(), [name for name in ("torch", "onnxruntime") if name in sys.modules], looked[:]])
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str], list[str]]]:
    """Of each mistake its exit code, what was said, which engine had been imported, and what of the data was touched.

    All are made in one process: an engine that one of them imports is seen in those after it as well.
    """
    here = tmp_path_factory.mktemp("here")
    for folder in ("clean", "old"):
        (here / folder).mkdir()
    (here / "old" / "config.toml").touch()
    (here / "text").write_text("of no use")
    noiseless.write(here / "clean" / "a.png", noiseless.Image.from_array(np.zeros((8, 8), np.uint8)))
    given = json.dumps([arguments for arguments, _ in MISTAKES])
    command = [sys.executable, "-c", WATCHED]
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=here, check=True)
    found = json.loads(done.stdout)
    return {" ".join(arguments): each for (arguments, _), each in zip(MISTAKES, found, strict=True)}


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=[" ".join(arguments) for arguments, _ in MISTAKES])
def test_what_is_wrong_is_told_at_once(
    arguments: list[str], says: str, told: dict[str, tuple[int, str, list[str], list[str]]]
) -> None:
    code, line, imported, looked = told[" ".join(arguments)]
    assert code == 2
    assert says in line
    assert line.count("\n") == 1
    assert "torch" not in imported
    assert looked == []
