"""What a running service is made of."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from noiseless.service.engine import Engine
from noiseless.service.jobs import Jobs
from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.models import Models
from noiseless.service.pipeline import Pipeline
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import Store


@dataclass(frozen=True)
class Parts:
    """What a running service is made of; see the modules of these names."""

    settings: ServiceSettings
    log: Log
    measures: Measures
    models: Models
    engine: Engine
    pipeline: Pipeline
    store: Store
    jobs: Jobs


async def parts_of(request: Request) -> Parts:
    """What the application is made of."""
    parts: Parts = request.app.state.parts
    return parts


HasParts = Annotated[Parts, Depends(parts_of)]


def client_of(request: Request) -> str:
    """Who asks, for the audit log: the address, and a trace of the token that does not give it away."""
    token = request.headers.get("authorization", "").partition(" ")[2].strip()
    trace = f" token:{hashlib.sha256(token.encode()).hexdigest()[:8]}" if token else ""
    return (request.client.host if request.client else "") + trace
