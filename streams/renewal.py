"""Sources that were deleted and made anew: a group goes on with the new logs and keeps what it knows.

Where a source's log is not the one that was applied a worker stops its partition, because the new log's first
events would be skipped as known. Whoever made it anew on purpose says so here. For each such partition one
transaction, by the partition's own producer, sets `next` to where the new log begins and tells it to all
workers' counters in the examples log. So a worker that is still running is fenced like any older owner, and
what was renewed is renewed for all.
"""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

from state import RocksStore
from streams.connection import admin, consumer, kafka_errors
from streams.errors import ConfigurationError
from streams.examples import ANEW, Examples, encode_examples
from streams.identity import PARTITIONS
from streams.partition import LostLogError, Outgoing, Partition, read_topics
from streams.settings import Settings
from streams.topics import TopicLayout, verify_topics

Renewed = dict[str, dict[int, int]]  # topic -> partition -> where its log begins for this group


def renew_sources(settings: Settings, directory: Path) -> Renewed:
    """Let the group go on with its sources as they are; return where in those that are not what they were.

    A topic that was made anew is read from its beginning. One that lost its end was applied beyond what is
    left, so only what comes from now on is read. The directory must be claimed, its stores are used. Raises
    ConfigurationError while workers are running.
    """
    layout = verify_topics(settings)
    _refuse_members(settings)
    renewed: Renewed = {}
    for number in range(layout.partitions):
        for topic, start in asyncio.run(_renew_partition(settings, layout, directory, number)).items():
            renewed.setdefault(topic, {})[number] = start
    return renewed


async def _renew_partition(
    settings: Settings, layout: TopicLayout, directory: Path, number: int
) -> dict[str, int]:
    part = Partition(
        number,
        partial(RocksStore, directory / PARTITIONS / str(number)),
        changelog=settings.users_topic,
        group=settings.group,
        servers=[server.strip() for server in settings.bootstrap_servers.split(",")],
        batch_bytes=layout.message_bytes,
        topic_ids=layout.topic_ids,
        tombstone_ms=layout.tombstone_ms,
    )
    starts: dict[str, int] = {}
    try:
        others = [topic for topic in settings.inputs if await _is_another(part, topic)]
        if others:
            await part.open([])
            known = read_topics(part.store)
            cut = {topic for topic in others if known.get(topic) == layout.topic_ids.get(topic)}
            starts = await asyncio.to_thread(_forget_commits, settings, others, cut, number)
            outgoing = Outgoing(next_offsets=starts)
            spans = {topic: (ANEW, start) for topic, start in starts.items()}
            record = encode_examples(Examples(worker_id="", partition=number, spans=spans))
            outgoing.add(settings.examples_topic, number, None, record)
            await part.commit(outgoing)
    finally:
        await part.close()
    return starts


async def _is_another(part: Partition, topic: str) -> bool:
    """Whether a worker would stop here."""
    try:
        await part.open([topic])
    except LostLogError:
        return True
    return False


def _refuse_members(settings: Settings) -> None:
    from kafka.errors import GroupIdNotFoundError

    with admin(settings) as client, kafka_errors(settings):
        try:
            groups = client.describe_groups([settings.group])
        except GroupIdNotFoundError:
            return
    members = sum(len(group["members"]) for group in groups.values())
    if members:
        raise ConfigurationError(
            f"{members} workers of group {settings.group!r} are running: stop them all, then call it again "
            "(one that was killed counts for some seconds)"
        )


def _forget_commits(settings: Settings, topics: list[str], cut: set[str], number: int) -> dict[str, int]:
    """Let nobody go on from offsets of the old logs; return where to, for those that are `cut` the end."""
    from kafka import TopicPartition
    from kafka.errors import GroupIdNotFoundError

    tps = [TopicPartition(topic, number) for topic in topics]
    with admin(settings) as client, kafka_errors(settings), contextlib.suppress(GroupIdNotFoundError):
        client.delete_group_offsets(settings.group, tps)
    with consumer(settings) as reader, kafka_errors(settings):
        starts, ends = reader.beginning_offsets(tps), reader.end_offsets(tps)
    return {tp.topic: ends[tp] if tp.topic in cut else starts[tp] for tp in tps}
