"""A lane under a backlog, without a broker: larger transactions, and never more in hand than was agreed."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from aiokafka.structs import ConsumerRecord, TopicPartition

from state import StoreError
from streams import hand, pacing
from streams.chunk import CHUNK_RECORDS
from streams.events import decode_list
from streams.fetching import HANDED_OUT_BYTES, BoundedResult
from streams.inlet import ALL_BYTES, ALL_RECORDS, LEAST_BYTES, LEAST_RECORDS, Inlet, Room
from streams.pacing import BACKLOG_RECORDS, BACKLOG_SECONDS, COMMIT_SECONDS, SLICE_RECORDS
from streams.settings import Settings
from streams.transaction import STEP_EVENTS
from streams.worker import ALL_FETCH_BYTES, BUFFERED_CHUNKS, LEAST_FETCH_BYTES, _app, _fetch_bytes
from tests.streams.fakes import CLICKS, START_MS, FakeSource, chunk, raw, record
from tests.streams.lane_bench import Bench
from tests.streams.test_lane import Clock


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a bench whose lane was opened, and whose turns and time the test takes."""
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    bench = Bench()
    bench.clock = clock
    bench.lane.begin(1)
    yield bench
    bench.thread.shutdown()


async def turns(bench: Bench, count: int, seconds: float = 0.0) -> None:
    """Let the lane take some turns, each of which takes so long."""
    for _ in range(count):
        bench.clock.now += seconds
        await bench.lane._turn()


def lists_of(bench: Bench) -> list[str]:
    """Return whose lists were published, in order."""
    return [
        decode_list(value).user_id
        for topic, _, value, _ in bench.partition.sent
        if topic == "recommendations"
    ]


async def test_a_backlog_is_committed_chunk_by_chunk(stopped: Bench) -> None:
    """Far behind, a transaction has a chunk's records, however slow each slice, and a list for each user."""
    stopped.source.lags[CLICKS] = 100_000
    users = ["hot", "hot", "hot", "hot", "cold"]
    stopped.lane.offer(chunk([record(at, user_id=users[at % 5]) for at in range(CHUNK_RECORDS + 300)]))
    await turns(stopped, 1)  # opens
    await turns(stopped, CHUNK_RECORDS // SLICE_RECORDS, seconds=0.2)
    assert stopped.partition.commits == 0
    await turns(stopped, 1)
    assert (stopped.partition.commits, stopped.source.committed[CLICKS]) == (1, CHUNK_RECORDS)
    assert lists_of(stopped) == ["hot", "cold"]


async def test_a_backlog_that_goes_slowly_is_committed_now_and_then(stopped: Bench) -> None:
    """However slow the work, what was taken is durable some seconds later."""
    stopped.source.lags[CLICKS] = 100_000
    stopped.lane.offer(chunk([record(at) for at in range(CHUNK_RECORDS)]))
    await turns(stopped, 1)
    await turns(stopped, 1, seconds=1)
    await turns(stopped, 1, seconds=BACKLOG_SECONDS - 0.1)
    assert stopped.partition.commits == 0
    await turns(stopped, 1, seconds=0.2)
    assert stopped.source.committed == {CLICKS: 2 * SLICE_RECORDS}


async def test_without_a_backlog_lists_come_at_once(stopped: Bench) -> None:
    """A lane that is nearly up with its topics commits after 50 ms, however many its records are."""
    stopped.source.lags[CLICKS] = 0
    stopped.lane.offer(chunk([record(at) for at in range(BACKLOG_RECORDS - 1)]))
    await turns(stopped, 1)
    await turns(stopped, 1)
    await turns(stopped, 1, seconds=COMMIT_SECONDS + 0.01)
    assert stopped.source.committed == {CLICKS: SLICE_RECORDS}


async def test_a_lane_that_waits_for_its_backlog_does_not_spin(stopped: Bench) -> None:
    """With nothing to take and a log that is far ahead, the lane sleeps until its transaction is due."""
    stopped.lane.offer(chunk([record(at) for at in range(10)]))
    await turns(stopped, 2)
    stopped.source.lags[CLICKS] = 100_000
    assert await stopped.lane._turn() == pytest.approx(BACKLOG_SECONDS)
    stopped.source.lags[CLICKS] = 0
    await turns(stopped, 1)
    assert stopped.source.committed == {CLICKS: 10}


async def test_large_messages_are_committed_before_they_fill_the_memory(stopped: Bench) -> None:
    """What is in hand is bounded in bytes, too: dead letters of a mebibyte each, a few a transaction."""
    size = 2**20
    stopped.source.lags[CLICKS] = 100_000
    stopped.lane.offer(chunk([raw(CLICKS, at, b"u", b"x" * size) for at in range(12)]))
    await turns(stopped, 3)
    assert stopped.partition.commits == 1
    assert len(stopped.partition.letters(stopped.tools.settings)) == 12


def test_what_is_in_hand_is_counted() -> None:
    """Bytes and records in hand are those that were taken, put back, and settled."""
    records = [raw(CLICKS, at, b"u", b"x" * (hand.FULL_BYTES // 4)) for at in range(5)]
    held = hand.Hand()
    held.take(records[:3])
    assert not held.is_full
    held.take(records[3:])
    assert held.is_full
    held.leave(2)
    assert not held.is_full
    held.take(held.redo(2))
    assert held.is_full
    for forget in (held.settle, held.put_back, held.clear):
        held.take(records)
        assert held.is_full
        forget()
        assert not held.is_full
    held.take([raw(CLICKS, at, b"u", b"") for at in range(hand.FULL_RECORDS)])
    assert held.is_full


async def test_orders_of_a_thousand_lines_do_not_add_up(stopped: Bench) -> None:
    """A chunk of orders is taken a few orders at a time: a step has hundreds of events, not millions."""
    steps: list[int] = []
    step = stopped.recommender.step

    def counted(records: list[object], *rest: object) -> object:
        steps.append(sum(len(each.interactions) for each in records))
        return step(records, *rest)

    stopped.recommender.step = counted
    order = stopped.tools.decoders[CLICKS].decode(b"u", record(0).value, START_MS) * 1000
    stopped.tools.decoders[CLICKS].decode = lambda *_: order
    stopped.lane.offer(chunk([raw(CLICKS, at, b"u", b"order") for at in range(4)]))
    await turns(stopped, 1)
    await turns(stopped, 20, seconds=0.01)
    assert sum(steps) == 4000
    assert max(steps) < STEP_EVENTS + 1000


@pytest.mark.parametrize("number", [1, 8, 24, 36, 300, 3_000, 100_000])
def test_all_partitions_together_have_a_bounded_room(number: int) -> None:
    """Many partitions share what one worker may hold and fetch; each of them has a little at least."""
    room = Room.shared_by(number)
    assert room.records * number <= max(ALL_RECORDS, LEAST_RECORDS * number)
    assert room.bytes * number <= max(ALL_BYTES, LEAST_BYTES * number)
    assert _fetch_bytes(number) * number <= max(ALL_FETCH_BYTES, LEAST_FETCH_BYTES * number)
    assert room.records >= LEAST_RECORDS >= SLICE_RECORDS


@pytest.mark.parametrize("partitions", [1, 100])
def test_a_worker_is_set_up_with_its_bounds(
    unshared_settings: Callable[..., Settings], partitions: int
) -> None:
    """Faust and aiokafka are told how much to fetch, to hand out and to queue."""
    settings = unshared_settings()
    inputs = partitions * len(settings.inputs)
    runtime = SimpleNamespace(layout=SimpleNamespace(partitions=partitions), room=Room.shared_by(inputs))
    runtime.deliver = lambda stream: None
    conf = _app(settings, runtime).conf
    assert conf.broker_max_poll_records == min(CHUNK_RECORDS, runtime.room.records)
    assert conf.consumer_max_fetch_size == _fetch_bytes(inputs)
    assert conf.stream_buffer_maxsize == BUFFERED_CHUNKS


def test_a_topic_is_held_at_its_room_and_released_at_half() -> None:
    """What waits of one topic is its room and one chunk at most, if a held topic is not fetched."""
    source = FakeSource()
    taken = waiting = offset = 0
    room = Room(1000, 2**20)
    held = Inlet(0, (CLICKS,), source, room=room)
    for _ in range(300):
        if CLICKS not in source.held:
            held.add(chunk([record(at) for at in range(offset, offset + CHUNK_RECORDS)]))
            offset += CHUNK_RECORDS
        waiting = max(waiting, held.pending(CLICKS))
        taken += len(held.take(SLICE_RECORDS, 0.0))
    assert waiting <= room.records + CHUNK_RECORDS
    assert taken == 300 * SLICE_RECORDS


async def test_the_worker_says_what_waits(stopped: Bench) -> None:
    """What was delivered and not taken is told for each topic."""
    stopped.lane.offer(chunk([record(at) for at in range(700)]))
    await turns(stopped, 2)
    assert stopped.lane.describe()["waiting"][CLICKS] == 700 - SLICE_RECORDS


async def test_what_a_broken_disk_did_not_take_is_counted_once(bench: Bench) -> None:
    """Events of a committed transaction are applied, though the local copy must be restored for them."""
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.partition.fail("write", StoreError("Input/output error"))
    bench.lane.offer(chunk([record(at) for at in range(40)]))
    await bench.idle()
    assert bench.partition.sequence() == list(range(40))
    assert bench.metric("freshet_events_total") == 40
    assert bench.metric("freshet_lists_total") == len(lists_of(bench))


def fetched(sizes: list[int]) -> BoundedResult:
    """Return what was fetched of a topic whose records have so many bytes."""
    tp = TopicPartition(CLICKS, 0)
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda at: setattr(state, "position", at))
    assignment = SimpleNamespace(active=True, state_value=lambda _: state)

    class Unpacked:
        next_fetch_offset = 0

        def __next__(self) -> ConsumerRecord:
            if self.next_fetch_offset == len(sizes):
                raise StopIteration
            self.next_fetch_offset += 1
            return raw(CLICKS, self.next_fetch_offset - 1, None, bytes(sizes[self.next_fetch_offset - 1]))

    return BoundedResult(tp, assignment=assignment, partition_records=Unpacked(), backoff=0)


@pytest.mark.parametrize(
    ("sizes", "pieces"),
    [
        ([10] * 5000, [2000, 2000, 1000]),
        ([HANDED_OUT_BYTES // 2] * 5, [2, 2, 1]),
        ([3 * HANDED_OUT_BYTES, 1, 3 * HANDED_OUT_BYTES], [1, 2]),
        ([], []),
    ],
)
def test_what_was_fetched_is_handed_out_in_pieces(sizes: list[int], pieces: list[int]) -> None:
    """A piece ends with its records or its bytes, whichever comes first; all come once, in order."""
    result = fetched(sizes)
    handed = []
    while result.has_more():
        handed.append(result.getall(CHUNK_RECORDS))
    assert [len(piece) for piece in handed if piece] == pieces
    assert [record.offset for piece in handed for record in piece] == list(range(len(sizes)))
    assert result.getall(None) == []
