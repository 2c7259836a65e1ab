"""What one transaction of a partition will carry: filled, ranked once, reported when it is durable.

Everything here but `report` runs in the model's thread.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from aiokafka.structs import ConsumerRecord

from state.overlay import Overlay
from streams.events import InteractionDecoder, Refused, dead_letter_headers, encode_list
from streams.item_ids import PARTITION as ITEM_IDS_PARTITION
from streams.item_ids import encode_key
from streams.metrics import Metrics
from streams.partition import Outgoing
from streams.recommender import Recommender, Record
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the transactions of all partitions of a worker share."""

    settings: Settings
    recommender: Recommender
    decoders: Mapping[str, InteractionDecoder]
    metrics: Metrics
    now_seconds: Callable[[], float] = time.time

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Observe how long a stage takes."""
        started = time.perf_counter()
        yield
        self.metrics.stage_seconds.labels(stage).observe(time.perf_counter() - started)


class Transaction:
    """Between two commits of a partition: decodes, applies, and prepares what goes out."""

    def __init__(
        self, partition: int, next_offsets: Mapping[str, int], overlay: Overlay, tools: Tools
    ) -> None:
        self.partition = partition
        self.next_offsets = dict(next_offsets)
        self.is_empty = True
        self._overlay = overlay
        self._tools = tools
        self._outgoing = Outgoing()
        self._item_ids: dict[int, str] = {}
        self._newest_record_ms: dict[str, int] = {}  # user -> timestamp of the newest record applied
        self._applied: Counter[tuple[str, str]] = Counter()
        self._late: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._lists = 0

    def apply(self, records: Sequence[ConsumerRecord]) -> None:
        """Decode records and apply them in order; those below the next offset were applied before."""
        tools = self._tools
        fresh = [record for record in records if self._is_next(record)]
        if not fresh:
            return
        self.is_empty = False
        tools.metrics.chunk_events.observe(len(fresh))
        with tools.timed("decode"):
            decoded = [(record, self._decode(record)) for record in fresh]
        sources = {
            (record.topic, record.offset): record
            for record, interactions in decoded
            if interactions is not None
        }
        with tools.timed("learn"):
            step = tools.recommender.step([item for _, item in decoded if item is not None], self._overlay)
        for item, refused in step.refused:
            self._refuse(sources[item.topic, item.offset], refused)
        self._applied.update(step.applied)
        self._late.update(step.late)
        self._item_ids.update(step.new_item_ids)

    def close(self) -> Outgoing:
        """Rank for every user that was touched; return all that goes out."""
        settings = self._tools.settings
        with self._tools.timed("rank"):
            lists = self._tools.recommender.recommend(self._overlay.changed(), self.partition)
        for recommendations in lists:
            self._outgoing.add(
                settings.topics.recommendations,
                self.partition,
                recommendations.user_id.encode(),
                encode_list(recommendations),
            )
        self._lists = len(lists)
        self._outgoing.users = self._overlay.changes()
        self._outgoing.next_offsets = self.next_offsets
        for key, item_id in self._item_ids.items():
            self._outgoing.add(settings.item_ids_topic, ITEM_IDS_PARTITION, encode_key(key), item_id.encode())
        return self._outgoing

    def report(self) -> None:
        """Tell the metrics, and the recommender which item ids are durable now; call it after the commit."""
        metrics, now_seconds = self._tools.metrics, self._tools.now_seconds()
        for (topic, action), events in self._applied.items():
            metrics.events.labels(topic, action).inc(events)
        for topic, events in self._late.items():
            metrics.late_events.labels(topic).inc(events)
        for (topic, reason), records in self._refused.items():
            metrics.dead_letters.labels(topic, reason).inc(records)
        metrics.lists.inc(self._lists)
        for newest_ms in self._newest_record_ms.values():
            metrics.event_to_list_seconds.observe(max(now_seconds - newest_ms / 1000, 0.0))

    @property
    def item_ids(self) -> Mapping[int, str]:
        """Item ids that become durable with this transaction: key -> id."""
        return self._item_ids

    def _is_next(self, record: ConsumerRecord) -> bool:
        if record.offset < self.next_offsets.get(record.topic, 0):
            self._tools.metrics.duplicates_skipped.labels(record.topic).inc()
            return False
        self.next_offsets[record.topic] = record.offset + 1
        return True

    def _decode(self, record: ConsumerRecord) -> Record | None:
        try:
            interactions = self._tools.decoders[record.topic].decode(
                record.key, record.value, record.timestamp
            )
        except Refused as refused:
            self._refuse(record, refused)
            return None
        for interaction in interactions:
            self._newest_record_ms[interaction.user_id] = record.timestamp
        return Record(record.topic, record.partition, record.offset, interactions)

    def _refuse(self, record: ConsumerRecord, refused: Refused) -> None:
        headers = dead_letter_headers(
            refused, record.topic, record.partition, record.offset, record.timestamp
        )
        dead_letters = self._tools.settings.topics.dead_letters
        self._outgoing.add(dead_letters, self.partition, record.key, record.value, headers)
        self._refused[record.topic, refused.reason] += 1
