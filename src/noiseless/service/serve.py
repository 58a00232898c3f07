"""Running the service in this process until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn

from noiseless.errors import ConfigError
from noiseless.runtime.machine import free_large_blocks_at_once, share_heaps
from noiseless.service.app import create_app
from noiseless.service.folders import locked
from noiseless.service.logs import Log
from noiseless.service.settings import ServiceSettings
from noiseless.service.store import Store

GRACE_SECONDS = 10

BACKLOG = 2048

HEAPS = 2
"""Heaps that the threads share; with as many as glibc likes, memory grew for as long as there was work."""


def serve(settings: ServiceSettings) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: how the service is set up.

    Raises:
        ConfigError: settings that cannot be used, a port that is taken, a state folder that is in use.
        OutputError: a state folder that cannot be written.
    """
    free_large_blocks_at_once()
    share_heaps(HEAPS)
    log = Log()
    settings.checked()
    with locked(settings.folder), _listening(settings) as listener:
        Store(settings.folder).close()  # a disk that is full is said before an address is
        app = create_app(settings, log)
        port = listener.getsockname()[1]
        print(f"noiseless serves on {address(settings.host, port)}", flush=True)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            backlog=BACKLOG,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])


def address(host: str, port: int) -> str:
    """The URL of the page as a person on this machine types it."""
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _listening(settings: ServiceSettings) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, place = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)  # from now on who comes waits, and is not turned away
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        fix = "Name another: --host ADDRESS." if isinstance(error, socket.gaierror) else "Name another: --port N."
        raise ConfigError(f"cannot listen on {where}", got=error.strerror, fix=fix) from error
    return listener
