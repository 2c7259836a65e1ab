"""Reaching a Kafka, and what is said where there is none."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from streams.connection import addresses, admin, consumer, kafka_errors, producer
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def mute_port() -> Iterator[int]:
    """Give a port where something listens that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_addresses_are_read_as_kafka_reads_them() -> None:
    """Several servers, without a port, or an IPv6 address in brackets are understood."""
    assert addresses(Settings(bootstrap_servers="a:1, b , [::1]:3")) == [("a", 1), ("b", 9092), ("::1", 3)]


@pytest.mark.parametrize("servers", ["a:x", ":9092", "a:", "a:0", "a:65536", "a:1,", "a:-1", "a:²"])
def test_an_address_that_is_none_is_a_configuration_error(servers: str) -> None:
    """A misspelt address is refused by the name of its setting, before anything is tried."""
    for client in (admin, producer, consumer):
        with pytest.raises(ConfigurationError, match="bootstrap_servers"):
            client(Settings(bootstrap_servers=servers))


def test_a_missing_broker_is_one_line_that_says_what_to_do(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody listens the error names the address and the advice, and kafka-python says nothing."""
    monkeypatch.setattr("streams.connection._KNOCK_SECONDS", 0.1)
    for client in (admin, producer, consumer):
        with pytest.raises(FreshetError, match=r"no Kafka answers at 127\.0\.0\.1:1; start one with"):
            client(Settings(bootstrap_servers="127.0.0.1:1"))
    assert capfd.readouterr() == ("", "")


def test_a_port_that_is_not_kafkas_is_told_apart(mute_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that listens but is no Kafka is not the same as nothing there."""
    monkeypatch.setattr("streams.connection._BOOTSTRAP_MS", 300)
    with pytest.raises(FreshetError, match="does not answer as Kafka does"):
        admin(Settings(bootstrap_servers=f"127.0.0.1:{mute_port}"))


def test_a_record_goes_there_and_back(settings_for: MakeSettings) -> None:
    """What a producer of ours sends, a consumer of ours reads, from the first record on."""
    settings = settings_for()
    (topic, *_) = settings.sources
    with admin(settings) as client:
        client.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    with producer(settings) as sender:
        sender.send(topic, key=b"u1", value=b"{}").get(10)
    reader = consumer(settings, topic)
    records: list[bytes] = []
    deadline = time.monotonic() + 20
    while not records and time.monotonic() < deadline:
        records += [record.value for batch in reader.poll(200).values() for record in batch]
    reader.close()
    assert records == [b"{}"]


def test_a_topic_that_does_not_exist_is_an_error_and_is_not_created(settings_for: MakeSettings) -> None:
    """A misspelt topic fails instead of appearing with whatever partitions the broker likes."""
    settings = settings_for()
    (topic, *_) = settings.sources
    with (
        producer(settings, max_block_ms=500) as sender,
        pytest.raises(FreshetError, match="Kafka at"),
        kafka_errors(settings),
    ):
        sender.send(topic, b"x")
    with admin(settings) as client:
        assert topic not in client.list_topics()
