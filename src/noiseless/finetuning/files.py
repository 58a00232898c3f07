"""Where an adapter is. Nothing here imports torch, so that one that is missing is told at once."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from noiseless.errors import BundleError

FORMAT = "noiseless-adapter-1"
ADAPTER = "adapter.safetensors"
"""In the run folder that fine-tuning leaves."""


def find_adapter(path: str | Path) -> tuple[Path, dict[str, str]]:
    """An adapter file, or the one of a run folder, and what stands at its beginning.

    Raises:
        BundleError: it is missing, truncated, or no adapter.
    """
    file = Path(path) / ADAPTER if Path(path).is_dir() else Path(path)
    try:
        with safe_open(file, "np") as opened:
            facts: dict[str, str] = opened.metadata() or {}
    except FileNotFoundError as error:
        expected = f"the {ADAPTER} that noiseless finetune left"
        raise BundleError(f"no adapter at {file}", got="no such file", expected=expected) from error
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{file} is not a whole adapter", got=str(error)) from error
    if facts.get("format") != FORMAT:
        raise BundleError(f"{file} is no adapter", got=facts.get("format", "no format"), expected=FORMAT)
    return file, facts
