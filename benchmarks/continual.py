"""Four tasks in a row: what a model still can do after each, without and with ways to keep.

    python benchmarks/continual.py --clean DIR --test DIR -o OUT [--keep none replay lwf] [--steps 200]

Writes for each way OUT/KEEP/history.json and OUT/KEEP/report.html: the matrix task x stage, average and forgetting.
The images are real, the noise is synthetic: the protocol in the report says which.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from noiseless.evaluation.history import Task, measure_history
from noiseless.evaluation.history_page import write_history
from noiseless.evaluation.report import text_table
from noiseless.finetuning import default_config
from noiseless.finetuning.run import run_finetuning
from noiseless.training.config import DataConfig
from noiseless.training.run import Listener

TASKS = {
    "gaussian-photographs": "gaussian:25",
    "poisson-gaussian-microscopy": "poisson-gaussian:gain=0.02,read=0.02",
    "speckle": "speckle:looks=10",
    "camera": "correlated:sigma=0.04,length=1.5+jpeg:60-90",
}
"""The first is what the model was made for; it is learned again like the others."""


def main() -> None:
    """Run the sequence once for each way to keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", required=True, nargs="+", help="clean images to learn from")
    parser.add_argument("--test", required=True, nargs="+", help="clean images to measure on")
    parser.add_argument("--model", default="gray-small")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--keep", nargs="+", default=["none", "replay", "lwf"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--limit", type=int, help="measure on as many images")
    parser.add_argument("-o", "--output", type=Path, required=True)
    asked = parser.parse_args()
    tasks = [Task(name, clean=tuple(asked.test), noise=noise) for name, noise in TASKS.items()]
    for keep in asked.keep:
        folder = asked.output / keep
        stages = learn(asked, keep, folder)
        history = measure_history(stages, tasks, limit=asked.limit, metrics=("psnr",))
        history.to_json(folder / "history.json")
        write_history(history, folder / "report.html")
        print("\n".join([f"\nkeep {keep}", *text_table(history.rows())]))


def learn(asked: argparse.Namespace, keep: str, folder: Path) -> list[str]:
    """Learn the tasks one after another; the model before, and after each."""
    stages = [asked.model]
    for number, (name, noise) in enumerate(TASKS.items(), 1):
        config = default_config(asked.method, keep)
        config = replace(
            config,
            data=DataConfig(clean=tuple(asked.clean)),
            noise=noise,
            steps=asked.steps,
            training=replace(config.training, validations=4),
        )
        run = folder / f"{number}-{name}"
        outcome = run_finetuning(stages[-1], config, run, listener=Listener(say=print))
        stages.append(str(run) if outcome.better else stages[-1])
    return list(dict.fromkeys(stages))


if __name__ == "__main__":
    main()
