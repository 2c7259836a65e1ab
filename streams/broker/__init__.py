"""The development broker: a real Apache Kafka, found or fetched, on 127.0.0.1."""

from streams.broker.detached import detached_status, start_detached, stop_detached
from streams.broker.finding import Kind, find_kafka, find_startable
from streams.broker.origins import Broker, ConfiguredKafka, KafkaImage, KafkaJars, StartableKafka
from streams.broker.owned import OwnedBroker, running_broker
from streams.broker.reach import free_port, kafka_version

__all__ = [
    "Broker",
    "ConfiguredKafka",
    "KafkaImage",
    "KafkaJars",
    "Kind",
    "OwnedBroker",
    "StartableKafka",
    "detached_status",
    "find_kafka",
    "find_startable",
    "free_port",
    "kafka_version",
    "running_broker",
    "start_detached",
    "stop_detached",
]
