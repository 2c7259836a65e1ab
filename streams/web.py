"""What a worker answers over HTTP: metrics, whether it lives, whether it is ready, and what it knows."""

import socket
from typing import Any, Protocol

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from streams.errors import ConfigurationError
from streams.metrics import Metrics


class Subject(Protocol):
    """Whom the endpoints ask."""

    def readiness(self) -> str | None:
        """None if the worker is ready, else what is wrong."""

    async def inspect_user(self, user_id: str) -> dict[str, Any] | None:
        """Return what is remembered of a user; None if this worker does not own one of this id."""

    async def inspect_worker(self) -> dict[str, Any]:
        """Return what this worker owns and knows."""


class WebServer:
    """/metrics, /live, /ready and /inspect on one host and port."""

    def __init__(self, host: str, port: int, metrics: Metrics, subject: Subject) -> None:
        self.host = host
        self.port = port
        self._metrics = metrics
        self._subject = subject
        self._socket: socket.socket | None = None
        self._runner: web.AppRunner | None = None

    def bind(self) -> None:
        """Take the port; `port` then says which, also if it was 0. Raises ConfigurationError."""
        try:
            family, kind, _, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            self._socket = socket.socket(family, kind)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError as error:
            self.close()
            raise ConfigurationError(
                f"cannot listen on {self.host}:{self.port}: {error.strerror}; "
                "choose another with metrics_host and metrics_port (0 picks a free one)"
            ) from None
        self.port = self._socket.getsockname()[1]

    async def start(self) -> None:
        """Answer on the port that was taken."""
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self._render_metrics),
                web.get("/live", self._live),
                web.get("/ready", self._ready),
                web.get("/inspect/user/{user_id:.+}", self._inspect_user),
                web.get("/inspect/worker", self._inspect_worker),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        if self._socket is None:
            raise RuntimeError("bind() comes before start()")
        await web.SockSite(self._runner, self._socket).start()

    async def stop(self) -> None:
        """Answer no longer."""
        if self._runner is not None:
            await self._runner.cleanup()
        self.close()

    def close(self) -> None:
        """Give the port back."""
        if self._socket is not None:
            self._socket.close()

    async def _render_metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="live\n")

    async def _ready(self, _: web.Request) -> web.Response:
        trouble = self._subject.readiness()
        return web.Response(text=f"{trouble or 'ready'}\n", status=503 if trouble else 200)

    async def _inspect_user(self, request: web.Request) -> web.Response:
        user_id = request.match_info["user_id"]
        found = await self._subject.inspect_user(user_id)
        if found is None:
            return web.Response(text=f"user {user_id!r} is not one of this worker's", status=404)
        return _json(found)

    async def _inspect_worker(self, _: web.Request) -> web.Response:
        return _json(await self._subject.inspect_worker())


def _json(content: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(content), content_type="application/json")
