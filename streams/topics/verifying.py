"""Verify, create, check: the same plan, and what is done where it is not met."""

from collections.abc import Mapping

from msgspec import Struct

from streams.connection import admin, kafka_errors
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings
from streams.topics.cluster import create, observe, observe_all
from streams.topics.findings import Finding, find_faults
from streams.topics.planning import Role, Topic, TopicPlan, plan_topics, topic_roles


class TopicLayout(Struct, frozen=True):
    """What a worker relies on: the sources' partition count, and which topics these are.

    `topic_ids` are by name; a topic that was deleted and created again has another. `message_bytes` is the
    largest batch that the dead letters take: none that a source takes is larger. `tombstone_ms` is how long
    the users' changelog keeps the word that something was deleted.
    """

    partitions: int
    topic_ids: dict[str, str]
    message_bytes: int
    tombstone_ms: int


class TopicReport(Struct, frozen=True, kw_only=True):
    """What is said of one topic; where it would not work it is not `ok`, and `advice` says what to do."""

    name: str
    role: Role
    partitions: int
    replication_factor: int
    cleanup_policy: str
    exists: bool
    created: bool
    ok: bool
    advice: str | None


def verify_topics(settings: Settings, create_missing_internal: bool = True) -> TopicLayout:
    """Return the layout for a worker, after creating the topics that are missing, except for the sources.

    Raises ConfigurationError for a source that does not exist or a topic that would not work, FreshetError if
    no Kafka answers, or if a topic is missing and must not be created.
    """
    _, existing, _ = _settle(settings, create_sources=False, create_internal=create_missing_internal)
    return TopicLayout(
        partitions=existing[next(iter(settings.sources))].partitions,
        topic_ids={name: topic.topic_id for name, topic in existing.items() if topic.topic_id is not None},
        message_bytes=existing[settings.topics.dead_letters].message_bytes,
        tombstone_ms=existing[settings.users_topic].tombstone_ms,
    )


def create_topics(settings: Settings) -> list[TopicReport]:
    """Create what is missing, sources included, and report all.

    Raises ConfigurationError, and creates nothing, if one that exists would not work.
    """
    plans, existing, created = _settle(settings, create_sources=True, create_internal=True)
    return _reports(plans, existing, find_faults(settings, plans, existing), created)


def check_topics(settings: Settings) -> list[TopicReport]:
    """Report how the topics are, and change nothing; raises FreshetError if no Kafka answers."""
    with admin(settings) as client, kafka_errors(settings):
        existing = observe(client, topic_roles(settings))
    plans = plan_topics(settings, existing)
    return _reports(plans, existing, find_faults(settings, plans, existing), created=set())


def _settle(
    settings: Settings, create_sources: bool, create_internal: bool
) -> tuple[list[TopicPlan], dict[str, Topic], set[str]]:
    """Return plans, what exists, and what of it was created; nothing is if anything would not work."""
    roles = topic_roles(settings)
    with admin(settings) as client, kafka_errors(settings):
        existing = observe(client, roles)
        plans = plan_topics(settings, existing)
        _refuse(find_faults(settings, plans, existing))
        missing = [plan for plan in plans if plan.name not in existing]
        for plan in missing:
            if not (create_sources if plan.role == "source" else create_internal):
                _refuse_missing(plan)
        if missing:
            create(client, missing)
            existing = observe_all(client, roles)
            # Somebody else may have created one at the same moment, by other settings.
            _refuse(find_faults(settings, plans, existing))
    return plans, existing, {plan.name for plan in missing}


def _refuse_missing(plan: TopicPlan) -> None:
    complaint = f"topic {plan.name!r} ({plan.role}) does not exist; create it with `freshet topics create`"
    if plan.role == "source":
        raise ConfigurationError(f"{complaint}, or correct the section [sources.{plan.name}]")
    raise FreshetError(complaint)


def _refuse(findings: list[Finding]) -> None:
    """Raise ConfigurationError for the first fault that is fatal, and say how many more there are."""
    fatal = [finding.text for finding in findings if finding.fatal]
    if fatal:
        more = f" (and {len(fatal) - 1} more: `freshet topics check` lists them)" if len(fatal) > 1 else ""
        raise ConfigurationError(f"{fatal[0]}{more}")


def _reports(
    plans: list[TopicPlan], existing: Mapping[str, Topic], findings: list[Finding], created: set[str]
) -> list[TopicReport]:
    reports = []
    for plan in plans:
        topic = existing.get(plan.name)
        said = [finding for finding in findings if finding.topic == plan.name]
        if topic is None:
            said = [Finding(plan.name, "does not exist; create it with `freshet topics create`")]
        reports.append(
            TopicReport(
                name=plan.name,
                role=plan.role,
                partitions=(topic or plan).partitions,
                replication_factor=(topic or plan).replication_factor,
                cleanup_policy=(topic or plan).config.get("cleanup.policy", ""),
                exists=topic is not None,
                created=plan.name in created,
                ok=not any(finding.fatal for finding in said),
                advice="; ".join(finding.text for finding in said) or None,
            )
        )
    return reports
