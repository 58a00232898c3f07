"""noiseless: an image denoiser through its whole life.

```python
import noiseless

clean = noiseless.denoise(noisy)  # numpy in, numpy out, same dtype, range and axes
```

The public names stand in ``__init__.pyi`` and are imported when they are first used, so that importing noiseless
imports neither numpy nor torch.
"""

from pathlib import Path as _Path

from noiseless._lazy import attach as _attach

__getattr__, __dir__, __all__ = _attach(__name__, _Path(__file__).with_suffix(".pyi"))
