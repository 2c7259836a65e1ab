"""What a worker answers over HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from streams.errors import ConfigurationError
from streams.metrics import Metrics
from streams.web import WebServer


class Subject:
    """A worker that knows one user."""

    trouble: str | None = None

    def readiness(self) -> str | None:
        """Return what the test says."""
        return self.trouble

    async def inspect_user(self, user_id: str) -> dict[str, Any] | None:
        """Know a user of an odd name."""
        return {"user_id": user_id} if user_id == "ü/ 1?#%" else None

    async def inspect_worker(self) -> dict[str, Any]:
        """Return anything."""
        return {"items": 3}


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    """Give a server that answers on a free port."""
    made = WebServer("127.0.0.1", 0, Metrics(), Subject())
    made.bind()
    await made.start()
    yield made
    await made.stop()


async def get(server: WebServer, path: str) -> tuple[int, str, str]:
    """Return status, content type and body of an endpoint."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{server.port}{path}") as found,
    ):
        return found.status, found.content_type, await found.text()


async def test_ready_is_503_with_the_reason(server: WebServer) -> None:
    """Whoever asks is told what is wrong; that the process turns is another question."""
    assert (await get(server, "/ready"))[0] == 200
    server._subject.trouble = "partition 3: restoring"
    status, _, body = await get(server, "/ready")
    assert (status, body) == (503, "partition 3: restoring\n")
    assert (await get(server, "/live"))[0] == 200


async def test_metrics_are_prometheus_text(server: WebServer) -> None:
    """The text has every series, and the content type that a scraper expects."""
    server._metrics.lists.inc(3)
    status, kind, body = await get(server, "/metrics")
    assert (status, kind) == (200, "text/plain")
    assert "freshet_lists_total 3.0" in body.splitlines()


async def test_users_of_any_name_can_be_asked_for(server: WebServer) -> None:
    """Slashes, spaces and letters of all kinds come through; who is not here is a 404."""
    status, kind, body = await get(server, "/inspect/user/%C3%BC%2F%201%3F%23%25")
    assert (status, kind, body) == (200, "application/json", '{"user_id":"ü/ 1?#%"}')
    assert (await get(server, "/inspect/user/nobody"))[0] == 404
    assert (await get(server, "/inspect/worker"))[2] == '{"items":3}'


async def test_the_port_is_taken_before_anything_answers_and_given_back() -> None:
    """A free port is chosen at once; an occupied one is refused by name; after the end it is free again."""
    first = WebServer("127.0.0.1", 0, Metrics(), Subject())
    first.bind()
    assert first.port > 0
    second = WebServer("127.0.0.1", first.port, Metrics(), Subject())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        third = WebServer("127.0.0.1", taken.getsockname()[1], Metrics(), Subject())
        with pytest.raises(ConfigurationError, match="metrics_port"):
            third.bind()
    await first.start()
    await first.stop()
    second.bind()
    second.close()


async def test_a_slow_answer_does_not_hold_the_others(server: WebServer) -> None:
    """An inspection that waits for the model leaves /live alone."""
    gate = asyncio.Event()

    async def slow() -> dict[str, Any]:
        await gate.wait()
        return {}

    server._subject.inspect_worker = slow
    asked = asyncio.create_task(get(server, "/inspect/worker"))
    assert (await get(server, "/live"))[0] == 200
    gate.set()
    assert (await asked)[0] == 200
