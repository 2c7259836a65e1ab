"""The chunk transport's epochs, seeks and fetches, without a broker: its consumer thread is pretended."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord, TopicPartition
from faust.types import TP

from streams import transport
from streams.chunk import CHUNK_RECORDS
from streams.transport import ChunkConsumer
from tests.streams.fakes import CLICKS, PURCHASES, record

C0, P0 = TP(CLICKS, 0), TP(PURCHASES, 0)


class FakeThread:
    """What the consumer thread does: logs, positions, committed offsets. `gate` holds the next call back."""

    def __init__(self) -> None:
        self.assigned = {C0, P0}
        self.committed: dict[TP, int | None] = {C0: None, P0: None}
        self.position: dict[TP, int] = {C0: 0, P0: 0}
        self.logs: dict[TP, list[ConsumerRecord]] = {C0: [], P0: []}
        self.errors: list[Exception] = []
        self.starts: dict[TP, int] = {C0: 0, P0: 0}
        self.gate: asyncio.Event | None = None

    async def _pass(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)

    def assignment(self) -> set[TP]:
        """Return what is assigned."""
        return self.assigned

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Seek where something was committed; elsewhere nothing moves."""
        await self._pass()
        for tp, offset in self.committed.items():
            if offset is not None:
                self.position[tp] = offset
        return dict(self.committed)

    async def seek_to_beginning(self, *tps: TP) -> None:
        """Seek to the logs' beginnings."""
        for tp in tps:
            self.position[TP(tp.topic, tp.partition)] = self.starts[TP(tp.topic, tp.partition)]

    async def earliest_offsets(self, *tps: TopicPartition) -> dict[TopicPartition, int]:
        """Return where logs begin."""
        return {tp: self.starts[TP(tp.topic, tp.partition)] for tp in tps}

    async def seek_wait(self, to: Mapping[TP, int]) -> None:
        """Seek."""
        self.position.update(to)

    async def getmany(self, active: set[TP], timeout: float) -> dict[TP, list[ConsumerRecord]]:
        """Return all that the active partitions have from where they stand."""
        await self._pass()
        fetched = {}
        for tp in sorted(active):
            if records := [r for r in self.logs[tp] if r.offset >= self.position[tp]]:
                fetched[tp] = records
                self.position[tp] = records[-1].offset + 1
        return fetched


class Bare(ChunkConsumer):
    """A chunk consumer without Faust around it."""

    def __init__(self) -> None:
        self._thread = FakeThread()
        self.app = SimpleNamespace(consumer_generation_id=1, should_stop=False)
        self.epoch, self.held = 1, set()
        self._durable, self._fetch_from, self._rewind_to = {}, {}, None
        self._fetching = asyncio.Lock()
        self._read_offset = defaultdict(lambda: None)
        self._committed_offset = defaultdict(lambda: None)
        self._acked, self._acked_index = defaultdict(list), defaultdict(set)
        self._active_partitions = {C0, P0}
        self.suspend_flow = asyncio.Event()
        self.flow_active = True
        self.delivered: list[transport.Chunk] = []
        self.epochs: list[tuple[int, frozenset[TP]]] = []
        self.on_epoch = lambda epoch, tps: self.epochs.append((epoch, tps))

    async def callback(self, message: object) -> None:
        """Take a chunk."""
        self.delivered.append(message.value)

    async def wait_first(self, *coroutines: object, timeout: float | None = None) -> None:
        """Wait for the first of them only, which ends."""
        delivery, suspension = coroutines
        suspension.close()
        await delivery


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(transport, "PAUSE_SECONDS", 0.0)


async def ready() -> Bare:
    """Return a consumer after its assignment's seek, with ten clicks in the log."""
    consumer = Bare()
    consumer._thread.logs[C0] = [record(offset) for offset in range(10)]
    await consumer.perform_seek()
    return consumer


def offsets(consumer: Bare) -> list[int]:
    """Return the offsets that were delivered."""
    return [record.offset for chunk in consumer.delivered for record in chunk.records]


async def test_a_log_is_cut_into_chunks_that_follow_each_other() -> None:
    """Partitions take turns; each chunk says where it starts, so that a gap would show."""
    consumer = await ready()
    consumer._thread.logs[C0] = [record(offset) for offset in range(3 * CHUNK_RECORDS - 1)]
    consumer._thread.logs[P0] = [record(offset, topic=PURCHASES) for offset in (4, 5)]
    await consumer._fetch_once()
    found = [(chunk.topic, chunk.start, chunk.next_offset) for chunk in consumer.delivered]
    assert found == [
        (CLICKS, None, CHUNK_RECORDS),
        (PURCHASES, None, 6),
        (CLICKS, CHUNK_RECORDS, 2 * CHUNK_RECORDS),
        (CLICKS, 2 * CHUNK_RECORDS, 3 * CHUNK_RECORDS - 1),
    ]


async def test_a_rewind_delivers_again_from_what_was_committed() -> None:
    """What was in flight is refused, and comes again in another epoch; a commit covers what is done only."""
    consumer = await ready()
    await consumer._fetch_once()
    old = consumer.delivered[0].epoch
    assert consumer.done(CLICKS, 0, 4, old)
    assert [(tp, consumer._new_offset(tp)) for tp in consumer._filter_tps_with_pending_acks()] == [(C0, 4)]
    consumer._thread.committed[C0] = 4
    consumer.rewind()
    assert not consumer.live(old)
    assert not consumer.done(CLICKS, 0, 10, old)
    assert consumer._filter_tps_with_pending_acks() == []
    consumer.delivered.clear()
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(4, 10))
    assert consumer.delivered[0].start == 4


async def test_a_rewind_to_an_offset_overrules_what_was_committed() -> None:
    """Offsets that ran ahead are left behind, and later commits are not held to be backward."""
    consumer = await ready()
    consumer._thread.committed[C0] = 8
    consumer.rewind({(CLICKS, 0): 3})
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(3, 10))
    assert consumer._should_commit(C0, 5)
    assert not consumer._should_commit(C0, 3)


async def test_where_nothing_was_committed_the_beginning_is_sought() -> None:
    """Also if Faust believes in a commit that failed: what was delivered and not committed comes again."""
    consumer = await ready()
    await consumer._fetch_once()
    consumer._committed_offset[C0] = 7  # as Faust notes it before it knows
    consumer.rewind()
    consumer.delivered.clear()
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))
    assert consumer.delivered[0].start is None


async def test_a_revocation_in_the_midst_of_a_seek_is_not_overlooked() -> None:
    """An epoch that ended while its seek was under way does not begin; the next fetch seeks again."""
    consumer = await ready()
    gate = consumer._thread.gate = asyncio.Event()
    consumer.rewind()
    seeking = asyncio.create_task(consumer._fetch_once())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    consumer._end_epoch()  # as a revocation does
    begun = len(consumer.epochs)
    consumer._thread.gate = None
    gate.set()
    await seeking
    assert len(consumer.epochs) == begun
    await consumer._fetch_once()
    assert consumer.epochs[-1] == (consumer.epoch, frozenset({C0, P0}))
    assert offsets(consumer)[-10:] == list(range(10))


async def test_a_fetch_that_straddles_the_end_of_its_epoch_is_dropped() -> None:
    """What a fetch returns after a rewind belongs to nobody; nothing of it is lost."""
    consumer = await ready()
    gate = consumer._thread.gate = asyncio.Event()
    fetching = asyncio.create_task(consumer._fetch_once())
    await asyncio.sleep(0)
    consumer.rewind()
    consumer._thread.gate = None
    gate.set()
    await fetching
    assert consumer.delivered == []
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))


async def test_a_seek_that_fails_is_tried_again_before_anything_is_fetched() -> None:
    """Positions are neither here nor there until the seek succeeds."""
    consumer = await ready()
    consumer.rewind()
    consumer._thread.errors = [KafkaConnectionError("away"), TimeoutError()]
    for _ in range(2):
        await consumer._fetch_once()
        assert consumer.delivered == []
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))


async def test_a_fetch_that_fails_goes_back() -> None:
    """A fetch that raises may have taken records with it: they are fetched again, and the worker goes on."""
    consumer = await ready()
    consumer._thread.errors = [KafkaConnectionError("away")]
    await consumer._fetch_once()
    assert consumer.delivered == []
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))
    assert len(consumer.epochs) == 2


async def test_what_retention_overtook_goes_on_at_the_logs_beginning_in_another_epoch() -> None:
    """The partition is then opened again, and counts what was lost; a position of before is not believed."""
    consumer = await ready()
    await consumer._fetch_once()
    consumer._thread.committed[C0] = 10
    consumer._thread.logs[C0] = [record(offset) for offset in range(17, 20)]
    consumer._thread.starts[C0] = 15
    consumer._thread.errors = [OffsetOutOfRangeError({TopicPartition(*C0): 10})]
    await consumer._fetch_once()
    consumer.delivered.clear()
    await consumer._fetch_once()
    assert len(consumer.epochs) == 2
    assert [(chunk.start, chunk.next_offset) for chunk in consumer.delivered] == [(15, 20)]
    consumer._thread.errors = [OffsetOutOfRangeError({TopicPartition(*C0): 10})]
    await consumer._fetch_once()
    assert len(consumer.epochs) == 2


async def test_a_log_that_ends_before_its_position_is_begun_again_in_the_same_epoch() -> None:
    """Its records do not begin where they must, by which it is told from the log that was read."""
    consumer = await ready()
    await consumer._fetch_once()
    consumer._thread.logs[C0] = [record(offset) for offset in range(3)]
    consumer._thread.errors = [OffsetOutOfRangeError({TopicPartition(*C0): 10})]
    await consumer._fetch_once()
    await consumer._fetch_once()
    assert len(consumer.epochs) == 1
    assert (consumer.delivered[-1].start, consumer.delivered[-1].records[0].offset) == (10, 0)


async def test_what_is_told_of_a_partition_before_its_seek_does_no_harm() -> None:
    """Without a committed offset aiokafka complains once, and the partition is sought all the same."""
    consumer = await ready()
    consumer._thread.errors = [NoOffsetForPartitionError(C0)]
    await consumer._fetch_once()
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))
    assert len(consumer.epochs) == 1


async def test_what_is_held_is_not_fetched() -> None:
    """Until it is released, or another epoch begins."""
    consumer = await ready()
    consumer.hold(CLICKS, 0)
    await consumer._fetch_once()
    assert consumer.delivered == []
    consumer.release(CLICKS, 0)
    await consumer._fetch_once()
    assert offsets(consumer) == list(range(10))
    consumer.hold(CLICKS, 0)
    consumer.rewind()
    assert consumer.held == set()


async def test_a_drain_is_waited_for_but_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A revocation waits a while for what is in hand to be committed; it never cancels a commit."""
    consumer, gate, drained = await ready(), asyncio.Event(), []

    async def drain() -> None:
        await gate.wait()
        drained.append(consumer.epoch)

    async def revoked(*_: object) -> None:
        """Faust's own part."""

    monkeypatch.setattr(transport, "DRAIN_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(transport.driver.Consumer, "on_partitions_revoked", revoked)
    consumer.before_revocation = drain
    epoch = consumer.epoch
    await consumer.on_partitions_revoked({C0})
    assert (drained, consumer.epoch) == ([], epoch + 1)
    gate.set()
    await asyncio.sleep(0.01)
    assert drained == [epoch + 1]


async def test_silence_is_the_time_since_the_last_answer() -> None:
    """Of several partitions the newest answer counts; before the first there is nothing to expect."""
    consumer = await ready()
    states: dict[str, SimpleNamespace] = {"a": SimpleNamespace(timestamp=None)}
    assignment = SimpleNamespace(tps=states.keys(), state_value=states.__getitem__)
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
    consumer._thread._ensure_consumer = lambda: SimpleNamespace(_subscription=subscription)
    assert consumer.silence_seconds() == 0.0
    now_ms = int(transport.time.time() * 1000)
    states["a"].timestamp = now_ms - 60_000
    assert 59 < consumer.silence_seconds() < 90
    states["b"] = SimpleNamespace(timestamp=now_ms - 20_000)
    assert 19 < consumer.silence_seconds() < 50
