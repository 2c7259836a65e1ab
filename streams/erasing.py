"""Asks for users to be forgotten, and reads the receipts."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from streams.connection import consumer, kafka_errors, producer
from streams.errors import ConfigurationError, FreshetError
from streams.events import Erasure, Receipt, decode_receipt, encode_erasure
from streams.events.values import ID_BYTES
from streams.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition

POLL_MS = 200


def erase_users(
    settings: Settings, user_ids: Sequence[str], request_id: str | None = None, wait_seconds: float = 60.0
) -> dict[str, dict[str, Any]]:
    """Ask for users to be forgotten; return the receipts by user that come within this time.

    Raises ConfigurationError for what is no user id and for topics that do not exist, FreshetError if no
    Kafka answers.
    """
    for user_id in user_ids:
        if not 0 < len(user_id.encode()) <= ID_BYTES:
            raise ConfigurationError(f"{user_id!r} is no user id; it has 1 to {ID_BYTES} bytes")
    with kafka_errors(settings), consumer(settings) as reader:
        ends = _ends(reader, settings)
        asked = _ask(settings, user_ids, request_id)
        reader.assign(list(ends))
        for tp, end in ends.items():
            reader.seek(tp, end)
        return _receipts(reader, settings, asked, time.monotonic() + wait_seconds)


def _ends(reader: "KafkaConsumer", settings: Settings) -> "dict[TopicPartition, int]":
    from kafka import TopicPartition

    topics = settings.topics
    for name in (topics.erasures, topics.erasure_receipts):
        if not reader.partitions_for_topic(name):
            raise ConfigurationError(
                f"topic {name!r} does not exist; create it with `freshet topics create`, or correct [topics]"
            )
    numbers = reader.partitions_for_topic(topics.erasure_receipts)
    tps = [TopicPartition(topics.erasure_receipts, number) for number in numbers]
    ends: dict[TopicPartition, int] = reader.end_offsets(tps)
    return ends


def _ask(settings: Settings, user_ids: Sequence[str], request_id: str | None) -> dict[str, tuple[int, int]]:
    """Write the erasures; return where they are: (partition, offset)."""
    with producer(settings) as writer:
        sent = {
            user_id: writer.send(
                settings.topics.erasures,
                key=user_id.encode(),
                value=encode_erasure(Erasure(user_id, request_id)),
            )
            for user_id in user_ids
        }
        written = {user_id: future.get(timeout=30) for user_id, future in sent.items()}
    return {user_id: (at.partition, at.offset) for user_id, at in written.items()}


def _receipts(
    reader: "KafkaConsumer", settings: Settings, asked: Mapping[str, tuple[int, int]], deadline: float
) -> dict[str, dict[str, Any]]:
    """Return the receipts of these erasures that come until the deadline."""
    receipts: dict[str, dict[str, Any]] = {}
    while len(receipts) < len(asked) and time.monotonic() < deadline:
        for records in reader.poll(timeout_ms=POLL_MS).values():
            for record in records:
                receipt = _read(record.value)
                position = receipt.positions.get(settings.topics.erasures)
                if asked.get(receipt.user_id) == position:
                    receipts[receipt.user_id] = msgspec.to_builtins(receipt)
    return receipts


def _read(value: bytes | None) -> Receipt:
    try:
        return decode_receipt(value or b"")
    except msgspec.DecodeError as error:
        raise FreshetError(
            f"a record of the receipts' topic is no receipt: {error}; find out who else writes there"
        ) from None
