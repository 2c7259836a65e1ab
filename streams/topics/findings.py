"""What is wrong with the topics that exist."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from streams.settings import Settings
from streams.topics.planning import ENVELOPE_BYTES, Topic, TopicPlan, largest_message_bytes


class Finding(Struct, frozen=True):
    """What is wrong with a topic and what to do; `fatal` where Freshet would lose or misplace something."""

    topic: str
    text: str
    fatal: bool = True


def find_faults(settings: Settings, plans: list[TopicPlan], existing: Mapping[str, Topic]) -> list[Finding]:
    """Return what is wrong with the topics that exist, the sources first."""
    sources = [existing[name] for name in settings.sources if name in existing]
    if len({source.partitions for source in sources}) > 1:
        # How many partitions the others should have, nobody can say.
        return [_differing(sources)]
    findings: list[Finding] = []
    for plan in plans:
        topic = existing.get(plan.name)
        if topic:
            findings += _partitions(settings, plan, topic)
            findings += _policy(plan, topic)
            if plan.role == "dead letters":
                findings += _size(topic, largest_message_bytes(sources))
    return findings


def _differing(sources: list[Topic]) -> Finding:
    fewest = min(sources, key=lambda source: source.partitions)
    most = max(source.partitions for source in sources)
    each = ", ".join(f"{source.name} has {source.partitions}" for source in sources)
    return Finding(
        fewest.name,
        f"the sources have different numbers of partitions: {each}; all events of a user must be in the same "
        f"partition of each, so give them all {most}, then write again what was written before",
    )


def _partitions(settings: Settings, plan: TopicPlan, topic: Topic) -> Iterator[Finding]:
    if plan.role in ("source", "items") or topic.partitions == plan.partitions:
        return
    said = (
        f"topic {topic.name!r} ({plan.role}) has {topic.partitions} partitions, {plan.partitions} are needed"
    )
    if plan.role in ("users", "examples", "item ids"):
        advice = f"it belongs to other sources: set another group than {settings.group!r}, or delete it"
    else:
        advice = "as many as the sources have: delete it, or name another one in [topics]"
    yield Finding(topic.name, f"{said}; {advice}")


def _policy(plan: TopicPlan, topic: Topic) -> Iterator[Finding]:
    policy = topic.config.get("cleanup.policy", "")
    said = f"topic {topic.name!r} ({plan.role}) has cleanup.policy={policy}"
    if plan.role in ("users", "item ids") and policy != "compact":
        yield Finding(topic.name, f"{said}, which would lose what is learned; set it to compact")
    if plan.role in ("dead letters", "examples") and "compact" in policy:
        yield Finding(topic.name, f"{said}, which cannot hold records without a key; set it to delete")
    if plan.role in ("recommendations", "items") and "compact" not in policy:
        yield Finding(topic.name, f"{said}, so what is old disappears; compact keeps it", fatal=False)


def _size(dead_letters: Topic, largest: int) -> Iterator[Finding]:
    if dead_letters.message_bytes < largest:
        yield Finding(
            dead_letters.name,
            f"topic {dead_letters.name!r} (dead letters) has max.message.bytes={dead_letters.message_bytes}, "
            f"less than the sources take; set it to {largest + ENVELOPE_BYTES}",
        )
