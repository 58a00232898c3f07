"""noiseless: an image denoiser through its whole life."""

from noiseless._version import __version__ as __version__
