"""aiokafka's connection and coordinator where a broker went away, and under uvloop."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.admin import ApiVersionRequest

from streams.mended_client import Connection, Coordinator

NO_APIS = struct.pack(">ihi", 1, 0, 0)  # correlation id, error, versions: what is needed to be connected


async def _with_broker(use: Callable[[Connection], Awaitable[None]]) -> None:
    """Use a connection to a broker that says which requests it knows, and nothing more."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(struct.unpack(">i", await reader.readexactly(4))[0])
        writer.write(struct.pack(">i", len(NO_APIS)) + NO_APIS)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    connection = Connection("127.0.0.1", server.sockets[0].getsockname()[1])
    await connection.connect()
    try:
        await use(connection)
    finally:
        connection.close()
        server.close()


def test_under_uvloop_a_closed_socket_is_a_lost_connection() -> None:
    """A request on a socket that has just closed is refused as aiokafka expects, and as uvloop does not."""

    async def send(connection: Connection) -> None:
        transport = connection._writer.transport
        transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="closed"):  # why there has to be a Connection of our own
            transport.write(b"x")
        connection._reader._eof = False  # as it is until the reader hears of it
        with pytest.raises(KafkaConnectionError):
            connection.send(ApiVersionRequest())
        assert not connection.connected()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_with_broker(send))


@pytest.mark.parametrize("is_member", [True, False])
async def test_a_heartbeat_tells_when_it_was_asked(monkeypatch: pytest.MonkeyPatch, is_member: bool) -> None:
    """Only an answer that we are a member counts, as of when it was asked for, not of when it was read."""

    async def beat(coordinator: GroupCoordinator) -> bool:
        await asyncio.sleep(0.01)
        return is_member

    monkeypatch.setattr(GroupCoordinator, "_do_heartbeat", beat)
    monkeypatch.setattr(Coordinator, "__init__", lambda coordinator: None)
    coordinator, before = Coordinator(), time.monotonic()
    assert await coordinator._do_heartbeat() is is_member
    after = time.monotonic()
    assert (before <= coordinator.member_at < after) is is_member
