"""Kafka for the tools: kafka-python's clients, whose failures are one line that says what to do."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.admin import KafkaAdminClient

Client = TypeVar("Client")

DEFAULT_PORT = 9092
# Together the five seconds that a tool waits for a Kafka.
_KNOCK_SECONDS = 2.0
_BOOTSTRAP_MS = 3000
_PAUSE_SECONDS = 0.1


def admin(settings: Settings) -> "KafkaAdminClient":
    """Return an admin client; raises FreshetError if no Kafka answers within five seconds."""
    from kafka.admin import KafkaAdminClient

    return _connected(KafkaAdminClient, settings)


def producer(settings: Settings, **options: object) -> "KafkaProducer":
    """Return a producer that waits for all replicas; `options` are KafkaProducer's own.

    Raises FreshetError if no Kafka answers within five seconds. A topic that does not exist is not created.
    """
    from kafka import KafkaProducer

    defaults = {"acks": "all", "linger_ms": 5, "max_block_ms": 10_000, "allow_auto_create_topics": False}
    return _connected(KafkaProducer, settings, **defaults | options)


def consumer(settings: Settings, *topics: str, **options: object) -> "KafkaConsumer":
    """Return a consumer of committed records from the start, in no group; `options` are KafkaConsumer's own.

    Raises FreshetError if no Kafka answers within five seconds. A topic that does not exist is not created.
    """
    from kafka import KafkaConsumer

    defaults = {
        "group_id": None,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
    }
    client = _connected(KafkaConsumer, settings, **defaults | options)
    if topics:
        client.subscribe(topics)
    return client


@contextlib.contextmanager
def kafka_errors(settings: Settings) -> Iterator[None]:
    """Turn what kafka-python raises inside into one FreshetError that names the broker."""
    from kafka.errors import KafkaError

    try:
        yield
    except KafkaError as error:
        raise FreshetError(f"Kafka at {settings.bootstrap_servers} failed: {error}") from error


def addresses(settings: Settings) -> list[tuple[str, int]]:
    """Return the hosts and ports of bootstrap_servers; raises ConfigurationError."""
    found = []
    for server in settings.bootstrap_servers.split(","):
        host, colon, port = server.strip().rpartition(":")
        if not colon:
            host, port = port, str(DEFAULT_PORT)
        if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise ConfigurationError(
                f"setting 'bootstrap_servers' = {settings.bootstrap_servers!r}: expected HOST:PORT, with "
                "commas between several"
            )
        found.append((host.strip("[]"), int(port)))
    return found


def _connected(client: Callable[..., Client], settings: Settings, **options: object) -> Client:
    """Return a client of what listens at one of the addresses; raises FreshetError if that is no Kafka."""
    from kafka.errors import KafkaError

    # What kafka-python logs while a broker is away repeats what its exceptions say.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    _wait_for_listener(settings)
    try:
        return client(
            bootstrap_servers=settings.bootstrap_servers.split(","),
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
            reconnect_backoff_max_ms=1000,
            **options,
        )
    except KafkaError:
        raise FreshetError(
            f"something listens at {settings.bootstrap_servers} but does not answer as Kafka does; correct "
            "bootstrap_servers, or look at the broker's log"
        ) from None


def _wait_for_listener(settings: Settings) -> None:
    """Knock at the addresses first: kafka-python itself would back off, and leave a thread behind."""
    hosts = addresses(settings)
    deadline = time.monotonic() + _KNOCK_SECONDS
    while not any(listens(host, port) for host, port in hosts):
        if time.monotonic() > deadline:
            raise FreshetError(
                f"no Kafka answers at {settings.bootstrap_servers}; start one with `freshet broker start`, "
                "or set bootstrap_servers"
            )
        time.sleep(_PAUSE_SECONDS)


def listens(host: str, port: int) -> bool:
    """Whether somebody accepts connections there, within a second."""
    try:
        socket.create_connection((host, port), timeout=_KNOCK_SECONDS / 2).close()
    except OSError:
        return False
    return True
