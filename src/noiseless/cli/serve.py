"""noiseless serve: the HTTP service and its web page."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from noiseless.cli.options import NO_SETTINGS, Settings, apply_settings


def serve(
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on; 0.0.0.0 lets other machines come.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    token: Annotated[
        str, typer.Option(envvar="NOISELESS_TOKEN", metavar="TEXT", help="What clients must know.", show_default=False)
    ] = "",
    state: Annotated[str, typer.Option(metavar="DIR", help="Where jobs, results and the audit log are kept.")] = "",
    longest_wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="Requests that would wait longer are told to come again later.")
    ] = 30.0,
    insecure: Annotated[bool, typer.Option("--insecure", help="Let other machines come without a token.")] = False,
    settings: Settings = NO_SETTINGS,
) -> None:
    """Serve the web page and the HTTP API.

    Open the address that is printed. Limits go through --set: max_upload and max_stored (bytes), max_pixels,
    direct_pixels, queue, max_jobs, time_limit and upload_limit (seconds), keep_hours, threads, models, hosts, origins.
    """
    from noiseless.service.serve import serve as run
    from noiseless.service.settings import ServiceSettings

    chosen = apply_settings(ServiceSettings(), settings)
    chosen = replace(chosen, host=host, port=port, token=token, state=state, insecure=insecure)
    run(replace(chosen, longest_wait=longest_wait))
