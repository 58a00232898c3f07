"""What a running service is made of."""

from __future__ import annotations

from dataclasses import dataclass

from noiseless.service.engine import Engine
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.models import Models
from noiseless.service.pipeline import Pipeline
from noiseless.service.settings import ServiceSettings


@dataclass(frozen=True)
class Parts:
    """What a running service is made of; see the modules of these names."""

    settings: ServiceSettings
    log: Log
    measures: Measures
    models: Models
    engine: Engine
    pipeline: Pipeline
