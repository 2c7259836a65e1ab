"""What is really in the topics in the end, read committed; and what a checkpoint holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from state import UserState, decode_next
from state.exclusions import Exclusions
from state.keys import NEXT_KEY, SEPARATOR, TOPICS_KEY, exclusion_keys
from streams.checkpointing import load_newest
from streams.connection import admin, consumer
from streams.events import RecommendationList, decode_list, decode_receipt
from streams.examples import decode_examples
from streams.recommender import Recommender
from streams.settings import Settings
from tests.crash.oracle import Position, Source
from tests.crash.stream import TRUTH


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused record as it was found."""

    reason: str
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Listed:
    """What was published for one user: the newest list (None: erased), and where lists went wrong."""

    newest: RecommendationList | None = None
    lists: int = 0
    repeated: list[dict[str, tuple[int, int]]] = field(default_factory=list)  # positions of earlier lists
    backwards: list[dict[str, tuple[int, int]]] = field(default_factory=list)


@dataclass(slots=True)
class Changelog:
    """The users' changelog: what is left of it for each key, and how much of it compaction took."""

    users: dict[str, UserState] = field(default_factory=dict)
    excluded: dict[str, list[int]] = field(default_factory=dict)  # user -> fingerprints of items, sorted
    raw: dict[int, dict[bytes, bytes]] = field(default_factory=dict)  # partition -> key -> value
    next_offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    records: int = 0
    offsets: int = 0


def read_topic(settings: Settings, topic: str) -> Iterator[Any]:
    """Yield the committed records of a topic, each partition's in their order."""
    from kafka import TopicPartition

    with consumer(settings, max_poll_records=5000, fetch_max_bytes=16 << 20) as reader:
        for partition in sorted(reader.partitions_for_topic(topic) or ()):
            tp = TopicPartition(topic, partition)
            reader.assign([tp])
            reader.seek_to_beginning(tp)
            end = reader.end_offsets([tp])[tp]
            while reader.position(tp) < end:
                for batch in reader.poll(timeout_ms=1000).values():
                    yield from batch


def read_sources(settings: Settings, topics: Sequence[str]) -> list[Source]:
    """Return everything that was sent."""
    return [
        Source(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            dict(record.headers)[TRUTH].decode(),
        )
        for topic in topics
        for record in read_topic(settings, topic)
    ]


def read_dead_letters(settings: Settings) -> list[tuple[Position, DeadLetter]]:
    """Return every dead letter with the position of the record that was refused."""
    found = []
    for record in read_topic(settings, settings.topics.dead_letters):
        headers = {name: value.decode() for name, value in record.headers}
        position = headers["source-topic"], int(headers["source-partition"]), int(headers["source-offset"])
        found.append((position, DeadLetter(headers["reason"], record.key, record.value)))
    return found


def read_receipts(settings: Settings) -> list[Position]:
    """Return the positions of the erasures that have receipts."""
    topic = settings.topics.erasures
    receipts = [
        decode_receipt(record.value) for record in read_topic(settings, settings.topics.erasure_receipts)
    ]
    return [(topic, *receipt.positions[topic]) for receipt in receipts]


def read_lists(settings: Settings) -> dict[str, Listed]:
    """Return what was published for every user."""
    users: dict[str, Listed] = {}
    for record in read_topic(settings, settings.topics.recommendations):
        listed = users.setdefault(record.key.decode(), Listed())
        if record.value is None:
            listed.newest = None
            continue
        now, before = decode_list(record.value), listed.newest
        listed.newest, listed.lists = now, listed.lists + 1
        if before is None:
            continue
        if now.positions == before.positions and not now.republished:
            listed.repeated.append(now.positions)
        if any(now.positions.get(topic, (0, -1))[1] < at for topic, (_, at) in before.positions.items()):
            listed.backwards.append(now.positions)
    return users


def read_examples(settings: Settings) -> dict[str, list[Position]]:
    """Return the positions of the events that each worker taught the others, by worker id."""
    taught: dict[str, list[Position]] = {}
    for record in read_topic(settings, settings.examples_topic):
        examples = decode_examples(record.value)
        positions = taught.setdefault(examples.worker_id, [])
        positions += [(event.topic, examples.partition, event.offset) for event in examples.events]
    return taught


def read_changelog(settings: Settings) -> Changelog:
    """Return what whoever restores the users would restore."""
    changelog = Changelog()
    for record in read_topic(settings, settings.users_topic):
        changelog.records += 1
        raw = changelog.raw.setdefault(record.partition, {})
        if record.value is None:
            raw.pop(record.key, None)
        else:
            raw[record.key] = record.value
    for partition, raw in changelog.raw.items():
        states = {key: UserState.decode(value) for key, value in raw.items() if SEPARATOR not in key}
        for key, state in states.items():
            user_id = key.decode()
            changelog.users[user_id] = state
            blocks = [raw.get(block) for block in exclusion_keys(user_id, state.exclusion_count)]
            changelog.excluded[user_id] = sorted(Exclusions.load(blocks).fingerprints.tolist())
        for topic, offset in decode_next(raw[NEXT_KEY]).items():
            changelog.next_offsets[topic, partition] = offset
        del raw[NEXT_KEY]
        raw.pop(TOPICS_KEY, None)
    changelog.offsets = sum(changelog_ends(settings).values())
    return changelog


def changelog_ends(settings: Settings) -> dict[int, int]:
    """Return where each partition of the changelog ends."""
    from kafka import TopicPartition

    with consumer(settings) as reader:
        partitions = sorted(reader.partitions_for_topic(settings.users_topic) or ())
        ends = reader.end_offsets([TopicPartition(settings.users_topic, number) for number in partitions])
    return {tp.partition: end for tp, end in ends.items()}


def read_commits(settings: Settings) -> dict[tuple[str, int], int]:
    """Return the offsets that the group has committed."""
    with admin(settings) as client:
        offsets = client.list_group_offsets({settings.group: None})[settings.group]
    return {(tp.topic, tp.partition): found.offset for tp, found in offsets.items()}


@dataclass(slots=True)
class Learned:
    """What a worker's newest checkpoint holds: marks, how often each item key was counted, its own events."""

    marks: dict[tuple[str, int], int]
    occurrences: dict[int, int]
    events: int
    steps: int


def read_checkpoint(settings: Settings, directory: Path) -> Learned:
    """Return what the worker of a data directory had learned when it stopped."""
    recommender = Recommender(settings)
    load_newest(directory, recommender)
    keys = recommender.catalog.keys
    occurrences = recommender.counts.occurrences()
    return Learned(
        marks=dict(recommender.marks),
        occurrences={key: n for key, n in zip(keys.tolist(), occurrences.tolist(), strict=True) if n},
        events=recommender.events,
        steps=recommender.learner.steps,
    )
