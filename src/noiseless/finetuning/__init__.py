"""Fine-tuning: a network that was trained becomes one for other noise or other images, and can be changed back.

The public names stand in ``__init__.pyi`` and are imported when they are first used, so that the settings of
fine-tuning can be read without torch.
"""

from pathlib import Path as _Path

from noiseless._lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, _Path(__file__).with_suffix(".pyi"))
