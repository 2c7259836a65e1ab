"""How each topic is created where it does not exist."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from streams.settings import Settings

Role = Literal[
    "source",
    "items",
    "recommendations",
    "dead letters",
    "erasures",
    "erasure receipts",
    "users",
    "examples",
    "item ids",
]

DAY_MS = 86_400_000
DEAD_LETTER_DAYS = 7
ERASURE_DAYS = 30
# A record of 1 MiB is taken, so a larger one must be able to arrive, to be refused with a reason.
MESSAGE_BYTES = 2 << 20
# What a transaction of orders of a thousand lines each may teach.
EXAMPLES_BYTES = 8 << 20
# The headers of a dead letter, and what Kafka writes around a record.
ENVELOPE_BYTES = 64 << 10

# Only closed segments are compacted: small ones, closed at least daily, bound what a restore has to read. A
# reader that was away for less than a week still sees what was removed.
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 << 20),
    "min.cleanable.dirty.ratio": "0.3",
    "max.compaction.lag.ms": str(DAY_MS),
    "delete.retention.ms": str(7 * DAY_MS),
    "max.message.bytes": str(MESSAGE_BYTES),
}


class Topic(Struct, frozen=True):
    """A topic as it exists."""

    name: str
    topic_id: str | None
    partitions: int
    replication_factor: int
    config: dict[str, str]

    @property
    def tombstone_ms(self) -> int:
        """How long compaction keeps the word that a key was deleted; Kafka's default where it is not said."""
        return int(self.config.get("delete.retention.ms", DAY_MS))

    @property
    def message_bytes(self) -> int:
        """The largest batch of records that it takes."""
        return int(self.config.get("max.message.bytes", MESSAGE_BYTES))


class TopicPlan(Struct, frozen=True):
    """How a topic is created where it does not exist."""

    name: str
    role: Role
    partitions: int
    replication_factor: int
    config: dict[str, str]


def topic_roles(settings: Settings) -> dict[str, Role]:
    """Return every topic of these settings and what it is for."""
    roles: dict[str, Role] = dict.fromkeys(settings.sources, "source")
    roles[settings.topics.items] = "items"
    roles[settings.topics.recommendations] = "recommendations"
    roles[settings.topics.dead_letters] = "dead letters"
    roles[settings.topics.erasures] = "erasures"
    roles[settings.topics.erasure_receipts] = "erasure receipts"
    roles[settings.users_topic] = "users"
    roles[settings.examples_topic] = "examples"
    roles[settings.item_ids_topic] = "item ids"
    return roles


def plan_topics(settings: Settings, existing: Mapping[str, Topic]) -> list[TopicPlan]:
    """Return how the topics should be, given those that exist."""
    sources = [existing[name] for name in settings.sources if name in existing]
    partitions = sources[0].partitions if sources else settings.topics.partitions
    return [
        TopicPlan(
            name=name,
            role=role,
            partitions=1 if role == "item ids" else partitions,
            replication_factor=settings.topics.replication_factor,
            config=_config(role, sources, settings)
            | {"min.insync.replicas": str(settings.topics.min_insync_replicas)},
        )
        for name, role in topic_roles(settings).items()
    ]


def largest_message_bytes(sources: list[Topic]) -> int:
    """Return the largest batch of records that one of the sources takes."""
    return max((source.message_bytes for source in sources), default=0)


def _config(role: Role, sources: list[Topic], settings: Settings) -> dict[str, str]:
    if role == "source":
        return {"cleanup.policy": "delete", "max.message.bytes": str(MESSAGE_BYTES)}
    if role == "dead letters":
        largest = max(MESSAGE_BYTES, largest_message_bytes(sources))
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(DEAD_LETTER_DAYS * DAY_MS),
            "max.message.bytes": str(largest + ENVELOPE_BYTES),
        }
    if role in ("erasures", "erasure receipts"):
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(ERASURE_DAYS * DAY_MS),
            "max.message.bytes": str(MESSAGE_BYTES),
        }
    if role == "examples":
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(settings.topics.examples_retention_days * DAY_MS),
            "max.message.bytes": str(EXAMPLES_BYTES),
        }
    return COMPACTED
