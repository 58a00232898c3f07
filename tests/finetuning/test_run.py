"""Fine-tuning runs: they gain, resume exactly, keep what they changed beside the model."""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import noiseless
import tiny_runs
from noiseless import networks
from noiseless.__main__ import main
from noiseless.bundle import Bundle
from noiseless.errors import BundleError, ConfigError, DataError, DivergedError, UnknownNameError
from noiseless.finetuning import FinetuningConfig, MethodConfig, default_config, load_adapter, read_adapter
from noiseless.finetuning.adapter import Adapter, write_adapter
from noiseless.finetuning.run import FinetuningOutcome, run_finetuning
from noiseless.training.config import DataConfig
from noiseless.training.run import Listener
from noiseless.training.state import Status

NOISE = "rician:sigma=0.15"


def config(data: DataConfig, method: str = "lora", steps: int = 40, **training: Any) -> FinetuningConfig:
    settings = default_config(method)
    quick = {
        "batch_size": 4,
        "patch_size": 32,
        "precision": "float32",
        "accelerator": "cpu",
        "validations": 4,
        "ema": 0.8,
    }
    loop = replace(settings.training, **{**quick, **training})
    return replace(settings, data=data, noise=NOISE, steps=steps, training=loop)


@pytest.fixture(scope="module")
def tuned(data: DataConfig, base: Path, tmp_path_factory: pytest.TempPathFactory) -> FinetuningOutcome:
    return run_finetuning(base, config(data), tmp_path_factory.mktemp("tuned") / "run")


@pytest.mark.parametrize("method", ["full", "head", "adapter"])
def test_methods_gain(data: DataConfig, base: Path, tmp_path: Path, method: str) -> None:
    outcome = run_finetuning(base, config(data, method), tmp_path / "run")
    assert outcome.gain > 0.1
    assert (outcome.trainable == outcome.parameters) == (method == "full")


def test_lora_gains_with_a_small_file(tuned: FinetuningOutcome) -> None:
    assert tuned.gain > 0.3
    assert tuned.trainable < 0.5 * tuned.parameters
    assert tuned.adapter is not None
    assert tuned.adapter.stat().st_size < 4 * tuned.trainable + 8000
    adapter = read_adapter(tuned.adapter)
    assert adapter.method == "lora"
    assert adapter.base_sha256 == tuned.base.sha256


def test_the_merged_model_is_the_base_with_its_adapter(tuned: FinetuningOutcome, base: Path) -> None:
    noisy = (0.5 + 0.2 * np.random.default_rng(0).standard_normal((40, 48))).astype(np.float32)
    noise = "gaussian:30"
    before = load_adapter(tuned.run.folder, strength=0.0)(noisy, noise=noise)
    np.testing.assert_array_equal(before, noiseless.load(base, engine="torch")(noisy, noise=noise))
    best = noiseless.load(tuned.run.folder)(noisy, noise=noise)
    whole = load_adapter(tuned.run.folder, base)(noisy, noise=noise)
    np.testing.assert_allclose(whole, best, atol=2e-3)  # the weights of a bundle are rounded to float16
    half = load_adapter(tuned.run.folder, strength=0.5)(noisy, noise=noise)
    assert 0.1 < np.abs(half - before).mean() / np.abs(whole - before).mean() < 0.9


def test_an_adapter_knows_its_model(tuned: FinetuningOutcome, conditioned_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="made for another model"):
        load_adapter(tuned.run.folder, conditioned_bundle.path)
    with pytest.raises(BundleError, match="no adapter at"):
        load_adapter(tmp_path)
    with pytest.raises(BundleError, match="is no adapter"):
        load_adapter(tuned.run.folder / "best" / "model.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tuned.adapter or tmp_path).read_bytes()[:2000])
    with pytest.raises(BundleError, match="not a whole adapter"):
        load_adapter(tmp_path / "cut.safetensors")
    with pytest.raises(ConfigError, match="0 to 1"):
        load_adapter(tuned.run.folder, strength=1.5)


def test_a_result_that_is_no_better_is_not_saved_as_best(data: DataConfig, base: Path, tmp_path: Path) -> None:
    same = noiseless.finetune(base, config(data, steps=4, lr=0.0, validations=1), tmp_path / "run")
    assert same.bundle.path == base / "best"
    assert not (tmp_path / "run" / "best").exists()
    assert not (tmp_path / "run" / "adapter.safetensors").exists()
    assert (tmp_path / "run" / "last").exists()


def test_stopped_and_resumed_is_bit_for_bit_the_same(data: DataConfig, base: Path, tmp_path: Path) -> None:
    settings = config(data, steps=24)
    whole = run_finetuning(base, settings, tmp_path / "whole")
    reached: list[int] = []

    def interrupt(status: Status) -> None:
        if status.step >= 10 and not reached:
            reached.append(status.step)
            signal.raise_signal(signal.SIGINT)

    first = run_finetuning(base, settings, tmp_path / "parts", listener=Listener(status=interrupt))
    assert first.run.ending == "interrupted"
    second = run_finetuning(base, settings, tmp_path / "parts", resume=True)
    assert second.run.start_psnr == whole.run.start_psnr
    assert second.gain == whole.gain
    for name in ("best/model.safetensors", "adapter.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("whole", "parts"))
        assert all(np.array_equal(one[key], other[key]) for key in {*one, *other})
    other_rank = replace(settings, method=replace(settings.method, rank=2))
    with pytest.raises(ConfigError, match="other settings"):
        run_finetuning(base, other_rank, tmp_path / "parts", resume=True)


def test_layers_may_learn_at_different_rates(data: DataConfig, base: Path, tmp_path: Path) -> None:
    settings = config(data, "full", steps=4, lr=1e-2)
    slow_start = replace(settings, method=replace(settings.method, first_layer_rate=0.01))
    run_finetuning(base, slow_start, tmp_path / "run")
    before, after = load_file(base / "best/model.safetensors"), load_file(tmp_path / "run/last/model.safetensors")
    moved = {name: np.abs(after[name].astype(float) - before[name]).max() for name in ("head.weight", "tail.weight")}
    assert moved["head.weight"] < 0.2 * moved["tail.weight"]


def test_a_colour_model_from_a_grey_one(data: DataConfig, base: Path, tmp_path: Path) -> None:
    settings = replace(config(data), arguments={"channels": 3})
    said: list[str] = []
    outcome = run_finetuning(base, settings, tmp_path / "run", listener=Listener(say=said.append))
    assert any(line.startswith("Channels 1 -> 3: the first and the last layer") for line in said)
    assert outcome.better
    assert noiseless.load(tmp_path / "run").spec.channels == 3
    assert load_adapter(tmp_path / "run").spec.channels == 3


def test_the_command(data: DataConfig, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = shutil.copytree(base, tmp_path / "model")
    command = ["finetune", str(model), "--clean", *data.clean, "--validation", *data.validation, "--noise", NOISE]
    quick = ["training.patch_size=32", "training.validations=3", "training.accelerator=cpu", "method.rank=2"]
    command += ["--steps", "20", "-o", str(tmp_path / "run"), *(word for each in quick for word in ("--set", each))]
    assert main([*command, "--method", "lora"]) == 0
    printed = capsys.readouterr().out
    assert "lora: " in printed
    assert "numbers trained" in printed
    assert "Validation PSNR" in printed
    assert f"{tmp_path / 'run' / 'adapter.safetensors'} (" in printed
    assert main(command) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert main([*command, "--method", "loar"]) == 2
    assert "Did you mean lora" in capsys.readouterr().err


def test_denoise_takes_an_adapter(
    tuned: FinetuningOutcome, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = np.random.default_rng(0).integers(60, 190, (32, 40), dtype=np.uint8)
    noiseless.write(tmp_path / "noisy.png", noiseless.Image.from_array(picture))
    adapter = str(tuned.adapter)

    def denoised(*options: str) -> np.ndarray:
        command = ["denoise", str(tmp_path / "noisy.png"), "-o", str(tmp_path / "out.png"), "--sigma", "30", *options]
        assert main([*command, "--set", "device=cpu"]) == 0
        return noiseless.read(tmp_path / "out.png").array

    without = denoised("--model", str(base), "--set", "engine=torch")
    adapted = denoised("--adapter", adapter)
    assert not np.array_equal(adapted, without)
    np.testing.assert_array_equal(denoised("--model", str(base), "--adapter", adapter), adapted)
    np.testing.assert_array_equal(denoised("--adapter", adapter, "--adapter-strength", "0"), without)
    capsys.readouterr()
    assert main(["denoise", str(tmp_path / "noisy.png"), "-o", str(tmp_path / "x.png"), "--adapter", "none.st"]) == 2
    assert "no adapter at none.st" in capsys.readouterr().err


def test_a_foreign_checkpoint_is_a_base(data: DataConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    checkpoint = tmp_path / "dncnn.pth"
    torch.save(networks.create("dncnn", channels=1, width=8, depth=4).state_dict(), checkpoint)
    outcome = run_finetuning(checkpoint, config(data, "full", steps=40, lr=2e-3, validations=1), tmp_path / "run")
    assert outcome.gain > 1
    assert load_adapter(tmp_path / "run", strength=0.0).bundle.path == checkpoint
    assert noiseless.load(tmp_path / "run").bundle.network == "dncnn"


def test_a_rate_that_diverges_is_stopped(data: DataConfig, base: Path, tmp_path: Path) -> None:
    settings = config(data, "full", steps=40, lr=1e30, clip_norm=0.0, warmup=0.0, optimizer="sgd")
    with pytest.raises(DivergedError, match=r"Lower training\.lr"):
        run_finetuning(base, settings, tmp_path / "run")


def test_a_loss_that_runs_away_is_stopped_while_it_is_finite(data: DataConfig, base: Path, tmp_path: Path) -> None:
    """Else the network comes back to a bad place, and the run says that it finished."""
    settings = config(data, steps=20, lr=1.0, warmup=0.0)
    with pytest.raises(DivergedError, match=r"a loss of \d.*Lower training\.lr"):
        run_finetuning(base, settings, tmp_path / "run")


def test_a_single_image_is_too_few(base: Path, tmp_path: Path) -> None:
    noiseless.write(tmp_path / "one.png", noiseless.Image.from_array(tiny_runs.pictures(1, 0)[0][0]))
    alone = config(DataConfig(clean=(str(tmp_path / "one.png"),)))
    with pytest.raises(DataError):
        run_finetuning(base, alone, tmp_path / "run")


def test_prompts_of_several_tasks_share_a_file(data: DataConfig, base: Path, tmp_path: Path) -> None:
    """Each gains on its task, is chosen by name, and is as it was once another joins it."""
    settings = config(data, "prompt", steps=30, lr=2e-2)
    named = {name: replace(settings, method=replace(settings.method, prompt=name)) for name in ("ct", "mri")}
    first = run_finetuning(base, replace(named["ct"], noise="speckle:looks=8"), tmp_path / "ct")
    assert first.gain > 0.01
    assert first.trainable < 0.1 * first.parameters
    beside = replace(named["mri"].method, beside=str(first.adapter))
    second = run_finetuning(base, replace(named["mri"], method=beside), tmp_path / "mri")
    assert second.adapter is not None
    adapter = read_adapter(second.adapter)
    assert list(adapter.prompts) == ["ct", "mri"]
    assert adapter.choose("mri").noise != adapter.choose("ct").noise
    noisy = (0.5 + 0.2 * np.random.default_rng(0).standard_normal((40, 48))).astype(np.float32)

    def restored(**options: Any) -> np.ndarray:
        return load_adapter(tmp_path / "mri", **options)(noisy, noise="gaussian:30")

    alone = load_adapter(tmp_path / "ct")(noisy, noise="gaussian:30")
    np.testing.assert_array_equal(restored(prompt="ct"), alone)
    assert not np.array_equal(restored(prompt="mri"), alone)
    with pytest.raises(ConfigError, match="several prompts: got ct, mri"):
        restored()
    with pytest.raises(UnknownNameError, match=r"unknown prompt 'mir'.*Did you mean mri"):
        restored(prompt="mir")


def test_a_prompt_is_chosen_where_there_are_prompts(
    tuned: FinetuningOutcome, data: DataConfig, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="no prompts to choose from"):
        load_adapter(tuned.run.folder, prompt="ct")
    beside = replace(config(data, "prompt"), method=MethodConfig("prompt", beside=str(tuned.adapter)))
    with pytest.raises(ConfigError, match="holds no prompts"):
        run_finetuning(base, beside, tmp_path / "run")
    assert main(["denoise", "noisy.png", "-o", "out.png", "--prompt", "ct"]) == 2
    assert "--adapter FILE" in capsys.readouterr().err


def test_adalora_ends_with_its_budget(data: DataConfig, base: Path, tmp_path: Path) -> None:
    """It begins with twice the rank, ends with it on average, unevenly; a resumed run gives the same."""
    settings = config(data, "adalora", steps=30)
    whole = run_finetuning(base, settings, tmp_path / "whole")
    assert whole.gain > 0.1
    assert whole.adapter is not None
    ranks = [tensor.shape[1] for name, tensor in read_adapter(whole.adapter).tensors.items() if name.endswith(".up")]
    assert 0 < sum(ranks) <= 8 * len(ranks)
    assert len(set(ranks)) > 1
    parts = replace(settings, training=replace(settings.training, checkpoint_every=7))
    run_finetuning(base, parts, tmp_path / "parts", stop_after=1e-9)
    run_finetuning(base, parts, tmp_path / "parts", resume=True)
    one, other = (load_file(tmp_path / run / "adapter.safetensors") for run in ("whole", "parts"))
    assert all(np.array_equal(one[key], other[key]) for key in {*one, *other})


def test_each_prompt_keeps_what_it_is_told_and_whether_it_undoes_clipping(base: Path, tmp_path: Path) -> None:
    """What the last one was told, and that any of them undoes clipping, held for all."""
    facts = {
        "ct": {"noise": {"kind": "gaussian", "sigma": 0.1}, "told": None, "unclips": False},
        "mri": {"noise": None, "told": "gaussian:90", "unclips": True},
    }
    write_adapter(
        tmp_path / "both",
        Adapter("prompt", {}, str(base), "0" * 64, "unet_nano", {}, None, {"ct/a.rows": torch.ones(1)}, facts),
    )
    adapter = read_adapter(tmp_path / "both")
    for name, known in facts.items():
        chosen = adapter.choose(name)
        assert {"noise": chosen.noise, "told": chosen.told, "unclips": chosen.unclips} == known
