"""Addresses: a free port, whether one is taken, whether a Kafka answers there."""

import random
import socket
import time
from collections.abc import Callable

from streams.errors import FreshetError

LOCALHOST = "127.0.0.1"
# Below the range that systems give to outgoing connections: else a client that knocks at the port of a broker
# that is down can be given that very port, talk to itself, and keep the broker from coming back.
_PORTS = range(15_000, 32_000)


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as attempt:
        # As Java does: connections of an earlier server that linger in TIME_WAIT are no obstacle.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port that nobody listens on and that no outgoing connection will be given."""
    for _ in range(200):
        port = random.SystemRandom().choice(_PORTS)
        if is_free(port):
            return port
    raise FreshetError(
        f"no free port between {_PORTS.start} and {_PORTS.stop} on {LOCALHOST}; end some servers"
    )


def kafka_version(bootstrap_servers: str, timeout_seconds: float) -> str | None:
    """Return the version that the Kafka at this address seems to have, None if none answers in time.

    A cluster that answers metadata requests but has no live broker counts as none.
    """
    deadline = time.monotonic() + timeout_seconds
    addresses = bootstrap_servers.split(",")
    # Bare connections first: they fail at once; Kafka's client would leave a socket and a thread behind.
    while not any(_accepts(address) for address in addresses):
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)
    # Imported late: `freshet broker --help` need not wait for it.
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        with KafkaAdminClient(
            bootstrap_servers=addresses,
            bootstrap_timeout_ms=int(timeout_seconds * 1000),
            request_timeout_ms=int(timeout_seconds * 1000) + 1000,
            reconnect_backoff_max_ms=200,
        ) as admin:
            alive = [b["broker_id"] for b in admin.describe_cluster()["brokers"] if not b.get("is_fenced")]
            if not alive:
                return None
            return ".".join(map(str, admin.get_broker_version_data(alive[0]).broker_version))
    except (KafkaError, OSError, ValueError):
        return None


def wait_until_answers(bootstrap_servers: str, has_ended: Callable[[], bool], timeout_seconds: float) -> bool:
    """Return whether a Kafka answers there in time; give up at once when has_ended says so."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and not has_ended():
        if _accepts(bootstrap_servers) and kafka_version(bootstrap_servers, timeout_seconds=2):
            return True
        time.sleep(0.05)
    return False


def _accepts(address: str) -> bool:
    """Whether somebody accepts connections at host:port."""
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True
