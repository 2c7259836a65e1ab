"""Asking Kafka for its topics, and for new ones."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from streams.errors import ConfigurationError, FreshetError
from streams.topics.planning import Topic, TopicPlan

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

_NEW_TOPIC_SECONDS = 10.0


def observe(client: "KafkaAdminClient", names: Iterable[str]) -> dict[str, Topic]:
    """Return those of these topics that exist, by name; raises FreshetError if Kafka will not say."""
    from kafka.errors import LeaderNotAvailableError, UnknownTopicOrPartitionError, for_code

    found = {}
    for topic in client.describe_topics(list(names)):
        code = topic["error_code"]
        if code == UnknownTopicOrPartitionError.errno:
            continue
        if code not in (0, LeaderNotAvailableError.errno):
            raise FreshetError(f"Kafka does not describe topic {topic['name']!r}: {for_code(code).__name__}")
        found[topic["name"]] = topic
    configs = _configs(client, found) if found else {}
    return {
        name: Topic(
            name=name,
            topic_id=None if topic["topic_id"] is None else str(topic["topic_id"]),
            partitions=len(topic["partitions"]),
            replication_factor=len(topic["partitions"][0]["replica_nodes"]),
            config=configs.get(name, {}),
        )
        for name, topic in found.items()
    }


def _configs(client: "KafkaAdminClient", names: Iterable[str]) -> dict[str, dict[str, str]]:
    from kafka.admin import ConfigResource, ConfigResourceType

    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answer: dict[str, dict[str, Any]] = client.describe_configs(asked, config_filter="all")["topic"]
    return {name: {key: entry["value"] for key, entry in config.items()} for name, config in answer.items()}


def create(client: "KafkaAdminClient", plans: list[TopicPlan]) -> None:
    """Create topics, after asking Kafka whether it would create every one of them.

    One that somebody else created meanwhile is taken as it is. Raises ConfigurationError for more replicas
    than there are brokers, FreshetError for what else Kafka refuses.
    """
    from kafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError

    wanted = {
        plan.name: {
            "num_partitions": plan.partitions,
            "replication_factor": plan.replication_factor,
            "configs": plan.config,
        }
        for plan in plans
    }
    for validate_only in (True, False):
        answer = client.create_topics(wanted, validate_only=validate_only, raise_errors=False)
        for topic in answer["topics"]:
            code, message = topic["error_code"], topic["error_message"]
            if code == InvalidReplicationFactorError.errno:
                replicas = wanted[topic["name"]]["replication_factor"]
                raise ConfigurationError(f"setting 'topics.replication_factor' = {replicas}: {message}")
            if code not in (0, TopicAlreadyExistsError.errno):
                raise FreshetError(f"Kafka refuses to create topic {topic['name']!r}: {message}")


def observe_all(client: "KafkaAdminClient", names: Iterable[str]) -> dict[str, Topic]:
    """Return all of these topics, once the broker that answers knows them, with their leaders."""
    names = list(names)
    client.wait_for_topics(names, timeout_ms=int(_NEW_TOPIC_SECONDS * 1000))
    deadline = time.monotonic() + _NEW_TOPIC_SECONDS
    while True:
        existing = observe(client, names)
        unknown = set(names) - set(existing)
        if not unknown:
            return existing
        if time.monotonic() > deadline:
            raise FreshetError(f"Kafka has created topic {min(unknown)!r} but does not know it; see its log")
        time.sleep(0.1)
