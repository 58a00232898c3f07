"""How a service is set up."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from noiseless.errors import ConfigError

LIMITS = "max_upload max_pixels max_stored queue longest_wait max_jobs time_limit upload_limit keep_hours threads"
"""Settings that must be more than 0."""


@dataclass(frozen=True)
class ServiceSettings:
    """How a service is set up.

    Attributes:
        host: address to listen on.
        port: port to listen on.
        token: what clients must send as ``Authorization: Bearer TOKEN``; nobody is asked where empty.
        insecure: whether other machines may come without a token.
        state: folder of jobs, results and the audit log.
        models: bundle folders to offer besides the models that ship.
        hosts: names under which the service is reached, besides its own address.
        origins: web pages of other servers that may call it (CORS); none as a rule.
        threads: to compute with; all processors that this process may use where ``None``.
        max_upload: bytes of a request.
        max_pixels: pixels of an image, all planes together.
        direct_pixels: images of more pixels become jobs.
        queue: requests with an image at once, those being received included; more are answered 429.
        longest_wait: seconds that a direct request is expected to wait, at most; others are answered 429.
        max_jobs: jobs that wait; more are answered 429.
        time_limit: seconds of computing for one image, or one film.
        upload_limit: seconds in which a request must have arrived.
        keep_hours: how long results stay.
        max_stored: bytes of all jobs; the oldest results go first.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = field(default="", repr=False)
    insecure: bool = False
    state: str = ""
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    threads: int | None = None
    max_upload: int = 256 << 20
    max_pixels: int = 100_000_000
    direct_pixels: int = 1 << 20
    queue: int = 256
    longest_wait: float = 30.0
    max_jobs: int = 256
    time_limit: float = 1800.0
    upload_limit: float = 300.0
    keep_hours: float = 24.0
    max_stored: int = 16 << 30

    @property
    def folder(self) -> Path:
        """Where the state is."""
        if self.state:
            return Path(self.state)
        from noiseless.service.folders import state_folder

        return state_folder(self.port)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def checked(self) -> ServiceSettings:
        """These settings, if they can be used.

        Raises:
            ConfigError: other machines could come without a token, or a limit is not positive.
        """
        if not (self.is_local or self.token or self.insecure):
            raise ConfigError(
                f"{self.host} can be reached from other machines, and there is no token",
                fix="Give --token (or set NOISELESS_TOKEN), or --insecure if everybody may use it.",
            )
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise ConfigError("the token does not fit into an HTTP header", expected="printable ASCII characters")
        for name in LIMITS.split():
            limit = getattr(self, name)
            if limit is not None and not limit > 0:  # nor is nan
                raise ConfigError(f"{name} does not fit", got=limit, expected="more than 0")
        return self
