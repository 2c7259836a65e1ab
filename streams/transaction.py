"""What one transaction of a partition will carry: filled, ranked once, reported when it is durable.

Everything here but `report` runs in the model's thread.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from aiokafka.structs import ConsumerRecord

from state.overlay import Overlay
from streams.events import (
    Erasure,
    InteractionDecoder,
    Receipt,
    RecommendationList,
    Refused,
    dead_letter_headers,
    decode_erasure,
    encode_list,
    encode_receipt,
)
from streams.examples import ExamplesRecorder, user_hash
from streams.item_ids import PARTITION as ITEM_IDS_PARTITION
from streams.item_ids import encode_key
from streams.metrics import Metrics
from streams.partition import Outgoing
from streams.recommender import Recommender, Record
from streams.settings import Settings
from streams.topics.planning import MESSAGE_BYTES

STEP_EVENTS = (
    500  # one step's interactions, up to the end of an order: nobody has the model's thread for long
)
ENVELOPE_BYTES = 4 * 2**10  # what a dead letter's headers and its batch need at most
LIST_BYTES = 2**20 - ENVELOPE_BYTES  # a topic that nobody configured takes no larger record


@dataclass(frozen=True, slots=True)
class Tools:
    """What the transactions of all partitions of a worker share.

    `message_bytes` is the largest batch that the dead letters take.
    """

    settings: Settings
    recommender: Recommender
    decoders: Mapping[str, InteractionDecoder]
    metrics: Metrics
    message_bytes: int = MESSAGE_BYTES
    now_seconds: Callable[[], float] = time.time

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Observe how long a stage takes."""
        started = time.perf_counter()
        yield
        self.metrics.stage_seconds.labels(stage).observe(time.perf_counter() - started)


class Transaction:
    """Between two commits of a partition: decodes, applies, and prepares what goes out.

    `defects` are records that something fails on, by topic and offset, with the failure; they are refused.
    """

    def __init__(
        self,
        partition: int,
        next_offsets: Mapping[str, int],
        overlay: Overlay,
        tools: Tools,
        defects: Mapping[tuple[str, int], str] | None = None,
    ) -> None:
        self.partition = partition
        self.next_offsets = dict(next_offsets)
        self.is_empty = True
        self._overlay = overlay
        self._tools = tools
        self._defects = defects or {}
        self._outgoing = Outgoing()
        self._first_offsets = dict(next_offsets)
        self._recorder = ExamplesRecorder(tools.settings.group, tools.recommender.worker_id, partition)
        self._item_ids: dict[int, str] = {}
        self._newest_record_ms: dict[str, int] = {}  # user -> timestamp of the newest record decoded
        self._applied: Counter[tuple[str, str]] = Counter()
        self._late: Counter[str] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._duplicates: Counter[str] = Counter()
        self._retractions: Counter[tuple[str, str]] = Counter()
        self._erasures = 0
        self._erased_events: Counter[str] = Counter()
        self.again: dict[str, RecommendationList] = {}  # by user, of those who did nothing here
        self.lists: list[RecommendationList] = []  # what it publishes; known when it is closed
        self.erased: list[str] = []  # whose list is taken back; known when it is closed

    def apply(self, records: Sequence[ConsumerRecord]) -> int:
        """Decode records and apply them in order; those below the next offset were applied before.

        Returns how many of the records are done: fewer than there are if they hold many interactions.
        """
        tools = self._tools
        fresh: list[tuple[ConsumerRecord, Record | Erasure | None]] = []
        done = events = 0
        with tools.timed("decode"):
            while done < len(records) and events < STEP_EVENTS:
                record = records[done]
                done += 1
                if self._is_next(record):
                    decoded = self._decode(record)
                    fresh.append((record, decoded))
                    events += len(decoded.interactions) if isinstance(decoded, Record) else 1
        if fresh:
            self.is_empty = False
            tools.metrics.chunk_events.observe(len(fresh))
            self._step(fresh)
        return done

    def _step(self, fresh: Sequence[tuple[ConsumerRecord, Record | Erasure | None]]) -> None:
        """Apply what was decoded, in order: runs of interactions between one erasure and the next."""
        run: list[tuple[ConsumerRecord, Record]] = []
        for record, decoded in fresh:
            if isinstance(decoded, Erasure):
                self._step_through(run)
                run = []
                self._erase(record, decoded)
            elif decoded is not None and not self._is_erased(record, decoded):
                run.append((record, decoded))
        self._step_through(run)

    def _step_through(self, run: Sequence[tuple[ConsumerRecord, Record]]) -> None:
        if not run:
            return
        tools = self._tools
        decoded = [item for _, item in run]
        with tools.timed("read"):
            self._overlay.load(line.user_id for item in decoded for line in item.interactions)
        with tools.timed("learn"):
            step = tools.recommender.step(decoded, self._overlay, self._recorder)
        sources = {(record.topic, record.offset): record for record, _ in run}
        for item, refused in step.refused:
            self._refuse(sources[item.topic, item.offset], refused)
        self._applied.update(step.applied)
        self._late.update(step.late)
        self._duplicates.update(step.duplicates)
        self._retractions.update(step.retractions)
        self._item_ids.update(step.new_item_ids)

    def _is_erased(self, record: ConsumerRecord, decoded: Record) -> bool:
        """Whether a record is older than an erasure of its user; then it is dropped, and counted."""
        erasures = self._overlay.erasures
        if not erasures:
            return False
        erased_ms = erasures.time_ms(self._hash(decoded.interactions[0].user_id))
        if record.timestamp >= erased_ms:
            return False
        self._erased_events[record.topic] += 1
        return True

    def _erase(self, record: ConsumerRecord, erasure: Erasure) -> None:
        """Forget a user: here, in what is kept to be learned from, and, by the examples, everywhere."""
        tools, whose = self._tools, self._hash(erasure.user_id)
        was_known = self._overlay.erase(erasure.user_id, whose, record.timestamp)
        tools.recommender.forget(whose)
        self._recorder.erase(erasure.user_id)
        receipt = Receipt(
            user_id=erasure.user_id,
            requested_at=record.timestamp,
            erased_at=int(tools.now_seconds() * 1000),
            was_known=was_known,
            positions={
                topic: (self.partition, next_offset - 1)
                for topic, next_offset in self.next_offsets.items()
                if next_offset and topic != record.topic
            }
            | {record.topic: (self.partition, record.offset)},
            request_id=erasure.request_id,
        )
        self._outgoing.add(
            tools.settings.topics.erasure_receipts, self.partition, record.key, encode_receipt(receipt)
        )
        self._erasures += 1

    def _hash(self, user_id: str) -> int:
        return user_hash(self._tools.settings.group, user_id)

    def list_again(self, lists: Iterable[RecommendationList]) -> None:
        """Publish lists of users, each only if its user does nothing here."""
        for recommendations in lists:
            self.again[recommendations.user_id] = recommendations
            self.is_empty = False

    def close(self) -> Outgoing:
        """Rank for every user that was touched; return all that goes out."""
        settings = self._tools.settings
        with self._tools.timed("rank"):
            self.lists = self._tools.recommender.recommend(self._overlay.changed(), self.partition)
        self.erased = self._overlay.erased()
        for user_id in [*(each.user_id for each in self.lists), *self.erased]:
            self.again.pop(user_id, None)
        self.lists += self.again.values()
        for recommendations in self.lists:
            self._outgoing.add(
                settings.topics.recommendations,
                self.partition,
                recommendations.user_id.encode(),
                _encoded(recommendations),
            )
        for user_id in self.erased:
            self._outgoing.add(settings.topics.recommendations, self.partition, user_id.encode(), None)
        self._outgoing.users = self._overlay.changes()
        self._outgoing.next_offsets = self.next_offsets
        examples = self._recorder.close(
            {
                topic: (self._first_offsets.get(topic, 0), end)
                for topic, end in self.next_offsets.items()
                if topic in settings.sources
            }
        )
        if examples is not None:
            self._outgoing.add(settings.examples_topic, self.partition, None, examples)
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
        for topic, events in self._duplicates.items():
            metrics.duplicate_events.labels(topic).inc(events)
        for (topic, outcome), retractions in self._retractions.items():
            metrics.retractions.labels(topic, outcome).inc(retractions)
        for topic, records in self._erased_events.items():
            metrics.erased_events.labels(topic).inc(records)
        metrics.erasures.inc(self._erasures)
        metrics.lists.inc(len(self.lists))
        metrics.republished_lists.inc(len(self.again))
        for recommendations in self.lists:
            if not recommendations.republished:
                age_seconds = now_seconds - self._newest_record_ms[recommendations.user_id] / 1000
                metrics.event_to_list_seconds.observe(max(age_seconds, 0.0))

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

    def _decode(self, record: ConsumerRecord) -> Record | Erasure | None:
        try:
            defect = self._defects.get((record.topic, record.offset))
            if defect is not None:
                raise Refused("defect", f"defect: Freshet failed on this record: {defect}")
            if record.topic == self._tools.settings.topics.erasures:
                return decode_erasure(record.key, record.value)
            interactions = self._tools.decoders[record.topic].decode(
                record.key, record.value, record.timestamp
            )
        except Refused as refused:
            self._refuse(record, refused)
            return None
        for interaction in interactions:
            newest_ms = self._newest_record_ms.get(interaction.user_id, record.timestamp)
            self._newest_record_ms[interaction.user_id] = max(newest_ms, record.timestamp)
        return Record(record.topic, record.partition, record.offset, interactions)

    def _refuse(self, record: ConsumerRecord, refused: Refused) -> None:
        headers = dead_letter_headers(
            refused, record.topic, record.partition, record.offset, record.timestamp
        )
        key, value, cut = self._fitting(record.key, record.value)
        self._outgoing.add(
            self._tools.settings.topics.dead_letters, self.partition, key, value, headers + cut
        )
        self._refused[record.topic, refused.reason] += 1

    def _fitting(
        self, key: bytes | None, value: bytes | None
    ) -> tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]:
        """Cut what the dead letters would not take: a record that came compressed may be of any size."""
        room = self._tools.message_bytes - ENVELOPE_BYTES
        size = len(key or b"") + len(value or b"")
        if size <= room:
            return key, value, []
        key = key and key[:room]
        value = value and value[: room - len(key or b"")]
        return key, value, [("cut-from-bytes", str(size).encode())]


def _encoded(recommendations: RecommendationList) -> bytes:
    """Return a list's bytes, without its last items where no topic would take it whole: that would block."""
    value = encode_list(recommendations)
    while len(value) > LIST_BYTES and recommendations.items:
        best = recommendations.items[: len(recommendations.items) // 2]
        recommendations = msgspec.structs.replace(recommendations, items=best)
        value = encode_list(recommendations)
    return value
