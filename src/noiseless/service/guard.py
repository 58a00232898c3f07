"""What stands before every request: who may come, how much they may send, what every answer carries, what is logged."""

from __future__ import annotations

import asyncio
import hmac
import time
import uuid
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from noiseless.service.logs import Log
from noiseless.service.measures import Measures
from noiseless.service.settings import ServiceSettings

OPEN = ("/v1/", "/metrics")
"""Paths that need the token begin so; the page, its parts and the health checks hold nothing secret."""

LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
UNCHANGING = ("GET", "HEAD", "OPTIONS")
METHODS = (*UNCHANGING, "POST", "PUT", "PATCH", "DELETE")
"""What is counted by its name; a client may send any word, and each would be kept for good."""

DRAINED_TIMES = 4
DRAIN_SECONDS = 20.0

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'"
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Middleware around the whole application.

    Args:
        app: what it guards.
        settings: token, names, limits.
        log: of requests.
        measures: counts them.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, log: Log, measures: Measures) -> None:
        self._app, self._settings, self._log, self._measures = app, settings, log, measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = scope.setdefault("state", {})["request_id"] = uuid.uuid4().hex[:16]
        started, status = time.monotonic(), [0]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0] = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in {**HEADERS, "X-Request-Id": request}.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(OPEN):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        body = _Body(receive, self._settings.max_upload)
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, body, answer)
            else:
                await body.drain(Headers(scope=scope))
                await refused(scope, refusal)(scope, body, answer)
        finally:
            self._note(scope, status[0], time.monotonic() - started)

    def _refusal(self, scope: Scope) -> HTTPException | None:
        """Why a request is not let in, if it is not."""
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", "")):
            return HTTPException(421, "this service is not known by that name; see the setting hosts")
        if scope["method"] not in UNCHANGING and not self._is_same_origin(headers):
            return HTTPException(403, "pages of other servers may not send anything here")
        if scope["path"].startswith(OPEN) and not self._has_token(headers):
            return HTTPException(401, "a token is needed: Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._settings.max_upload:
            return too_much(self._settings.max_upload)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a name is one of a service that only this machine reaches: no page that renamed it gets in."""
        if not self._settings.is_local:
            return True
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in LOCAL_NAMES | {self._settings.host, *self._settings.hosts}

    def _is_same_origin(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None or origin in self._settings.origins:
            return True
        try:
            return urlsplit(origin).netloc == headers.get("host")
        except ValueError:
            return False

    def _has_token(self, headers: Headers) -> bool:
        if not self._settings.token:
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._settings.token.encode())
        return kind.lower() == "bearer" and same

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._measures.requests.labels(method, route, str(status)).inc()
        self._measures.seconds.labels(route).observe(seconds)
        self._log(
            "request",
            request_id=scope["state"]["request_id"],
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            milliseconds=round(1000 * seconds),
            client=(scope.get("client") or ("",))[0],
        )


class _Body:
    """A request's body, counted while it comes in."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._bytes, self._ended = 0, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._count(message)
        if self._bytes > self._limit:
            await self._drain(DRAINED_TIMES * self._limit)
            raise too_much(self._limit)
        return message

    async def drain(self, headers: Headers) -> None:
        """Read what is not wanted, so that the client reads the answer; but not what never ends."""
        length = headers.get("content-length", "")
        sends = (length.isdecimal() and int(length) > 0) or "transfer-encoding" in headers
        if sends and not (length.isdecimal() and int(length) > DRAINED_TIMES * self._limit):
            await self._drain(DRAINED_TIMES * self._limit)

    async def _drain(self, most: int) -> None:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while not self._ended and self._bytes < most:
                    self._count(await self._receive())
        except TimeoutError:
            return

    def _count(self, message: Message) -> None:
        self._bytes += len(message.get("body", b""))
        self._ended = self._ended or message["type"] == "http.disconnect" or not message.get("more_body", False)


def too_much(limit: int) -> HTTPException:
    """The answer to a request that is too large."""
    return HTTPException(413, f"the upload is larger than this service takes: {limit} bytes")


def refused(scope: Scope, error: HTTPException) -> JSONResponse:
    """An error as an answer: one clear sentence, and the id under which the log has it."""
    content = {"detail": error.detail, "request_id": scope["state"]["request_id"]}
    return JSONResponse(content, error.status_code, error.headers)
