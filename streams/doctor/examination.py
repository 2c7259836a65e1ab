"""One check after the other, each whatever became of those before it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack

from streams.connection import addresses, admin, kafka_errors
from streams.doctor import cluster, directory, machine, sources
from streams.doctor.check import Check, attempt, failed, not_checked
from streams.doctor.sampling import sample_sources
from streams.errors import ConfigurationError, FreshetError
from streams.events import InteractionDecoder
from streams.settings import Settings
from streams.topics import check_topics

_SAMPLED = ("keys", "messages", "partitioners", "clock")
_ON_TOPICS = ("topics", "partitions", *_SAMPLED)
_ON_KAFKA = ("version", "transactions", *_ON_TOPICS)
CHECKS = ("settings", "libraries", "memory", "gpu", "disk", "worker", "broker", *_ON_KAFKA)


def examine(settings: Settings) -> Iterator[Check]:
    """Yield every check of CHECKS, in this order; what could not be checked is not ok."""
    yield _check_settings(settings)
    yield machine.check_libraries()
    yield machine.check_memory()
    yield machine.check_gpu(settings)
    yield directory.check_disk(settings)
    yield directory.check_worker(settings)
    yield from _examine_kafka(settings)


def examine_without_settings(error: ConfigurationError) -> Iterator[Check]:
    """Yield every check of CHECKS where the settings do not load."""
    known = {check.name: check for check in (machine.check_libraries(), machine.check_memory())}
    yield failed("settings", error)
    for name in CHECKS[1:]:
        yield known.get(name) or not_checked(name, "the settings do not load", "settings")


def _check_settings(settings: Settings) -> Check:
    """See whether the settings that loaded can be followed: addresses, and the way into every message."""
    try:
        addresses(settings)
        for topic, source in settings.sources.items():
            InteractionDecoder(topic, source)
    except ConfigurationError as error:
        return failed("settings", error)
    return Check(
        "settings", ok=True, found=f"group {settings.group!r}, sources {', '.join(settings.sources)}"
    )


def _examine_kafka(settings: Settings) -> Iterator[Check]:
    with ExitStack() as stack:
        try:
            client = stack.enter_context(admin(settings))
        except FreshetError as error:
            broker = failed("broker", error)
        else:
            broker = attempt("broker", settings, lambda: cluster.check_broker(settings, client))
        yield broker
        if not broker.ok:
            yield from (not_checked(name, "no broker", "broker") for name in _ON_KAFKA)
            return
        yield attempt("version", settings, lambda: cluster.check_version(client))
        yield attempt("transactions", settings, lambda: cluster.check_transactions(client))
        yield from _examine_topics(settings)


def _examine_topics(settings: Settings) -> Iterator[Check]:
    try:
        reports = check_topics(settings)
    except FreshetError as error:
        yield failed("topics", error)
        yield from (not_checked(name, "the topics are unknown", "topics") for name in _ON_TOPICS[1:])
        return
    yield cluster.check_topics_exist(reports)
    yield cluster.check_partitions(reports)
    partitions = {
        report.name: report.partitions for report in reports if report.role == "source" and report.exists
    }
    if partitions:
        yield from _examine_records(settings, partitions)
    else:
        yield from (not_checked(name, "no source exists", "topics") for name in _SAMPLED)


def _examine_records(settings: Settings, partitions: Mapping[str, int]) -> Iterator[Check]:
    try:
        with kafka_errors(settings):
            samples = sample_sources(settings, partitions)
    except FreshetError as error:
        yield from (failed(name, error) for name in _SAMPLED)
        return
    yield sources.check_keys(settings, samples)
    yield sources.check_messages(settings, samples)
    yield sources.check_partitioners(samples, partitions)
    yield sources.check_clock(samples)
