"""The text grammar of noise models, the same on the command line, in TOML and over HTTP."""

from __future__ import annotations

import re

from noiseless.errors import SpecError
from noiseless.noise.base import Noise
from noiseless.noise.chain import Chain
from noiseless.noise.table import find

_PLUS = re.compile(r"(?<![\d.][eE])\+")


def parse(text: str) -> Noise:
    """The noise model that a text describes.

    The grammar is ``name``, ``name:value`` or ``name:parameter=value,...``, joined with ``+`` (the first is
    applied first). A value is a number, a range ``low-high`` or numbers per channel ``a/b/c``, in [0, 1]
    units; only ``gaussian:25`` and ``gaussian:0-55`` are on the 0-255 scale.

    Raises:
        SpecError: the text does not parse, a value is out of range.
        UnknownNameError: no model, or no parameter, of a name; says the closest.

    Examples:
        >>> parse("gaussian:25").spec
        'gaussian:25'
        >>> parse("poisson-gaussian:gain=0.01,read=0.02 + clip").spec
        'poisson-gaussian:gain=0.01,read=0.02+clip'
    """
    if not isinstance(text, str) or not text.strip():
        raise SpecError("a noise expression is empty or no text", got=repr(text), expected="for example gaussian:25")
    parts = [_parse_one(part.strip(), text) for part in _PLUS.split(text)]
    return parts[0] if len(parts) == 1 else Chain(tuple(parts))


def _parse_one(text: str, whole: str) -> Noise:
    if not text:
        raise SpecError("a part of a noise expression is empty", got=repr(whole), expected="name+name")
    name, _, arguments = text.partition(":")
    name = name.strip()
    return find(name).from_text(arguments)
