"""Interactions and items on their way into the source topics: what `simulate`, `replay` and `demo` share."""

import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec

from streams.connection import admin, kafka_errors, producer
from streams.errors import ConfigurationError, FreshetError
from streams.events import Interaction, ItemListed, encode_interaction, encode_item
from streams.events.mapping import LINES
from streams.settings import Settings, Source, SourceFields

if TYPE_CHECKING:
    from kafka import KafkaProducer
    from kafka.producer.future import FutureRecordMetadata

_PATIENCE_SECONDS = 0.0005


class Feed:
    """Sends to the topics of the settings, keyed by user or item; everything has arrived when the block ends.

    An interaction goes to the source whose section has its action, else to the first one with the action in
    the message, in the words of that source's own mapping. Raises ConfigurationError before anything is sent
    if a topic does not exist, FreshetError if Kafka does not answer or does not take a record.
    """

    def __init__(self, settings: Settings, items: bool = True) -> None:
        self._settings = settings
        self._with_items = items
        self._failures: list[Exception] = []
        self._newest_ms: dict[str, int] = {}
        self._sources = {
            action: settings.source_of(action) for action in ("click", "cart", "favorite", "purchase")
        }
        self.sent: Counter[str] = Counter()
        """Records handed to Kafka, by topic."""

    def __enter__(self) -> Self:
        settings = self._settings
        needed = {*self._sources.values(), *([settings.topics.items] if self._with_items else [])}
        with admin(settings) as client, kafka_errors(settings):
            missing = needed - set(client.list_topics())
        if missing:
            raise ConfigurationError(
                f"topic {min(missing)!r} does not exist at {settings.bootstrap_servers}; create it with "
                "`freshet topics create`"
            )
        self._producer: KafkaProducer = producer(settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            self._producer.close(timeout=0 if kind else None)

    def flush(self) -> None:
        """Wait until Kafka has everything that was sent; raises FreshetError if it did not take something."""
        with kafka_errors(self._settings):
            self._producer.flush()
        self._check()

    def interaction(self, interaction: Interaction) -> "FutureRecordMetadata":
        """Send an interaction, with its own time; what is returned knows its position once it has arrived."""
        topic = self._sources[interaction.action]
        value = encode_for(self._settings.sources[topic], interaction)
        return self._send(topic, interaction.user_id, value)

    def interaction_now(self, interaction: Interaction) -> None:
        """Send an interaction as of now; the times of a user grow, so that their order stays."""
        now_ms = max(time.time_ns() // 1_000_000, self._newest_ms.get(interaction.user_id, 0) + 1)
        self._newest_ms[interaction.user_id] = now_ms
        self.interaction(msgspec.structs.replace(interaction, timestamp_ms=now_ms))

    def item(self, item: ItemListed) -> None:
        """Send the catalogue's word on an item."""
        self._send(self._settings.topics.items, item.item_id, encode_item(item))

    def _send(self, topic: str, key: str, value: bytes) -> "FutureRecordMetadata":
        self._check()
        with kafka_errors(self._settings):
            future = self._producer.send(topic, value, key.encode()).add_errback(self._failures.append)
        self.sent[topic] += 1
        return future

    def _check(self) -> None:
        if self._failures:
            raise FreshetError(
                f"Kafka at {self._settings.bootstrap_servers} did not take {len(self._failures)} records: "
                f"{self._failures[0]}; look at the broker's log"
            )


class Pace:
    """Holds back until it is time."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def elapsed_seconds(self) -> float:
        """How long ago the start was."""
        return time.monotonic() - self._start

    def wait_until(self, seconds: float) -> None:
        """Sleep until so many seconds after the start; not at all if that is past."""
        ahead = seconds - self.elapsed_seconds
        if ahead > _PATIENCE_SECONDS:
            time.sleep(ahead)


def encode_for(source: Source, interaction: Interaction) -> bytes:
    """Return the message of an interaction as a source's own events are: its names, its unit of time."""
    fields = source.fields
    if fields == SourceFields() and source.timestamp_unit != "seconds":
        return encode_interaction(interaction)
    in_seconds = source.timestamp_unit == "seconds"
    message: dict[str, Any] = {}
    for path, value in (
        (fields.user_id, interaction.user_id),
        (fields.item_id, interaction.item_id),
        (fields.action, interaction.action),
        (fields.timestamp, interaction.timestamp_ms / 1000 if in_seconds else interaction.timestamp_ms),
        (fields.value, interaction.value),
        (fields.event_id, interaction.event_id),
    ):
        if value is not None:
            _place(message, path, value)
    return msgspec.json.encode(message)


def _place(message: dict[str, Any], path: str, value: object) -> None:
    """Put a value where a path leads: `customer.id`, `lines[].sku`, `skus[]`; lists get one line."""
    shared, lines, line = path.partition(LINES)
    *names, last = shared.split(".")
    for name in names:
        message = message.setdefault(name, {})
    if not lines:
        message[last] = value
    elif not line:
        message[last] = [value]
    else:
        _place(message.setdefault(last, [{}])[0], line.removeprefix("."), value)
