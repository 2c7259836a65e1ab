"""Where a Kafka comes from, and what a broker that runs says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KAFKA_VERSION = "4.3.0"


class UnavailableError(Exception):
    """One way to a Kafka is closed here; the text is a clause that says why."""


@dataclass(frozen=True)
class ConfiguredKafka:
    """A cluster that somebody else runs."""

    why: str
    bootstrap_servers: str


@dataclass(frozen=True)
class KafkaJars:
    """A directory of jars and a Java to run them with."""

    why: str
    version: str
    jars: Path
    java: Path


@dataclass(frozen=True)
class KafkaImage:
    """A container image and an engine that answers."""

    why: str
    version: str
    image: str


StartableKafka = KafkaJars | KafkaImage


@dataclass(frozen=True)
class Broker:
    """A broker that answers. pid is None where the process is not on this machine, or not ours."""

    kind: Literal["configured", "kafka", "docker"]
    why: str
    bootstrap_servers: str
    version: str
    pid: int | None
