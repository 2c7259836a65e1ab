"""aiokafka's connection and group coordinator, mended where a lost broker would cost a worker its group.

A worker whose membership has ended without its knowledge goes on fetching, for fetching asks no group: its
partitions belong to somebody else by then, and whoever of the two opens one of them fences the other. This
leans on internals of aiokafka 0.14.0, which tests/streams/test_transport_contract.py pins.
"""

import time
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.consumer import consumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaConnectionError, KafkaError


class Connection(AIOKafkaConnection):  # type: ignore[misc]
    """A connection that says the same under uvloop as elsewhere when it has gone.

    Writing to a socket that is closed already raises RuntimeError there. aiokafka expects OSError: what it
    did not expect ends its task that keeps the metadata, and whatever waits for metadata then waits for ever,
    the heartbeats among it.
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: ANN401 - aiokafka has no types
        """Send a request; raises KafkaConnectionError if there is no connection any more."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            if isinstance(error, KafkaError):
                raise
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"{self.host}:{self.port} has gone: {error}") from error


class Coordinator(GroupCoordinator):  # type: ignore[misc]
    """A coordinator that knows when its group last had it as a member."""

    member_at = float("-inf")  # on time.monotonic()'s clock

    async def _do_heartbeat(self) -> bool:
        asked_at = time.monotonic()  # not when the answer was read: we may stand still in between
        is_member: bool = await super()._do_heartbeat()
        if is_member:
            self.member_at = asked_at
        return is_member

    async def _on_join_complete(self, *joined: Any) -> None:  # noqa: ANN401
        joined_at = time.monotonic()
        await super()._on_join_complete(*joined)
        self.member_at = joined_at


def install() -> None:
    """Let every client of this process use them."""
    conn.AIOKafkaConnection = Connection
    consumer.GroupCoordinator = Coordinator
