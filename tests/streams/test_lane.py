"""A lane without a broker: what it does with chunks, epochs and time."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from streams import pacing
from streams.events import decode_list
from streams.inlet import HOLD_BYTES, HOLD_RECORDS
from streams.lane import STUCK_SECONDS
from streams.pacing import COMMIT_SECONDS, SLICE_RECORDS
from tests.streams.fakes import CLICKS, ERASURES, PURCHASES, chunk, raw, record
from tests.streams.lane_bench import Bench


async def test_what_is_offered_becomes_durable_once_and_in_order(bench: Bench) -> None:
    """Chunks are applied in their order, and lists, states and offsets to commit tell of all of them."""
    for start in range(0, 900, 300):
        bench.lane.offer(chunk([record(offset) for offset in range(start, start + 300)]))
    await bench.idle()
    assert bench.partition.sequence() == list(range(900))
    assert bench.source.committed == {CLICKS: 900}
    newest = decode_list([row for row in bench.partition.sent if row[0] == "recommendations"][-1][2])
    assert newest.positions == {CLICKS: (0, 899)}
    assert bench.metric("freshet_events_total") == 900
    assert bench.caught_up == 1


async def test_a_chunk_of_another_epoch_is_left_alone(bench: Bench) -> None:
    """What was fetched before the epoch ended is neither applied nor committed."""
    bench.source.rewind()
    bench.lane.offer(chunk([record(0)], epoch=1))
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0, item_id="again")], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0]
    assert bench.metric("freshet_events_total") == 1


async def test_what_an_ended_epoch_had_in_hand_is_applied_when_it_comes_again(bench: Bench) -> None:
    """An epoch that ends in the midst of a step takes the step's changes with it."""
    gate = threading.Event()
    bench.thread.submit(gate.wait)
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.lane.offer(chunk([record(offset) for offset in range(10)]))
    await bench.wait(lambda: bench.lane.transaction is not None)
    bench.source.rewind()
    bench.lane.begin(2)
    gate.set()
    bench.lane.offer(chunk([record(offset) for offset in range(4)], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0, 1, 2, 3]


async def test_drain_commits_and_then_takes_nothing_more(bench: Bench) -> None:
    """After a drain everything applied is durable, and what comes waits for another epoch."""
    bench.lane.offer(chunk([record(0), record(1)]))
    await bench.idle()
    await bench.lane.drain()
    bench.lane.offer(chunk([record(2)]))
    await asyncio.sleep(0.02)
    assert bench.partition.sequence() == [0, 1]
    assert bench.source.committed == {CLICKS: 2}
    bench.source.rewind()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(2)], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0, 1, 2]


async def test_drain_does_not_wait_for_a_restore(bench: Bench) -> None:
    """A partition that is being restored has nothing to commit, so a rebalance need not wait for it."""
    await bench.wait(lambda: bench.lane.readiness is None)
    forever = asyncio.Event()

    async def open_(_: Sequence[str]) -> int:
        await forever.wait()
        return 0

    bench.partition.open = open_
    bench.source.rewind()
    bench.lane.begin(2)
    await asyncio.sleep(0.01)
    async with asyncio.timeout(1):
        await bench.lane.drain()


async def test_a_parked_partition_is_closed_and_not_owned(bench: Bench) -> None:
    """A partition that moved away is closed; when it comes back it is opened and goes on."""
    bench.lane.offer(chunk([record(0)]))
    await bench.idle()
    bench.source.rewind()
    bench.lane.park()
    await bench.wait(lambda: not bench.partition.is_open)
    assert bench.lane.readiness == "not assigned"
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0), record(1)], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0, 1]
    assert bench.metric("freshet_duplicates_skipped_total") == 1


async def test_a_fetch_that_begins_above_what_is_applied_goes_back(bench: Bench) -> None:
    """Offsets that ran ahead of the state are noticed before anything is applied."""
    bench.lane.offer(chunk([record(0), record(1)]))
    await bench.idle()
    bench.source.rewind()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(5)], epoch=2))
    await bench.wait(lambda: len(bench.source.rewinds) == 2)
    assert bench.source.rewinds[1] == {(CLICKS, 0): 2}
    bench.lane.begin(3)
    bench.lane.offer(chunk([record(offset) for offset in range(2, 6)], epoch=3))
    await bench.idle()
    assert bench.partition.sequence() == list(range(6))


async def test_holes_in_a_log_are_lawful(bench: Bench) -> None:
    """Transaction markers and compaction leave holes: a chunk may begin above where its fetch started."""
    bench.lane.offer(chunk([record(3), record(7)], start=None))
    bench.lane.offer(chunk([record(12)], start=8))
    await bench.idle()
    assert bench.partition.sequence() == [3, 7, 12]
    assert bench.source.rewinds == []


async def test_a_chunk_that_does_not_follow_the_one_before_goes_back(bench: Bench) -> None:
    """A chunk that got lost on its way is noticed by the next one."""
    bench.lane.offer(chunk([record(0)]))
    bench.lane.offer(chunk([record(2)], start=2))
    assert bench.source.rewinds == [None]
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0), record(1), record(2)], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0, 1, 2]


async def test_a_topic_with_enough_in_hand_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in records or in bytes: what waits is bounded, and fetched again when half of it is gone."""
    few_large = [raw(PURCHASES, n, b"u", b"x" * (HOLD_BYTES // 4)) for n in range(5)]
    bench = Bench()
    bench.lane.begin(1)
    bench.lane.offer(chunk([record(offset) for offset in range(HOLD_RECORDS - 1)]))
    assert bench.source.held == set()
    bench.lane.offer(chunk([record(HOLD_RECORDS - 1)]))
    bench.lane.offer(chunk(few_large))
    assert bench.source.held == {CLICKS, PURCHASES}
    monkeypatch.setattr(pacing, "COMMIT_SECONDS", 0.0)
    bench.lane.start()
    await bench.idle()
    assert bench.source.held == set()
    assert bench.partition.sequence() == list(range(HOLD_RECORDS))[-1000:]
    assert bench.metric("freshet_dead_letters_total") == 5
    await bench.lane.close()
    bench.thread.shutdown()


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


async def test_when_a_lane_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once when idle, 50 ms after the commit before; under load 50 ms after the first event in hand."""
    clock = Clock()
    monkeypatch.setattr(pacing, "time", clock)
    bench = Bench()
    lane, source = bench.lane, bench.source
    lane.begin(1)
    assert await lane._turn() == 0  # opens
    lane.offer(chunk([record(0)]))
    assert await lane._turn() == 0  # applies
    assert await lane._turn() == 0  # idle: commits at once
    assert source.committed == {CLICKS: 1}
    lane.offer(chunk([record(1)]))
    clock.now += 0.02
    assert await lane._turn() == 0
    assert await lane._turn() == pytest.approx(COMMIT_SECONDS - 0.02)
    clock.now += 0.031
    assert await lane._turn() == 0
    assert source.committed == {CLICKS: 2}
    lane.offer(chunk([record(offset) for offset in range(2, 1502)]))
    clock.now += 1.0
    for _ in range(3):
        clock.now += 0.015
        await lane._turn()
        assert source.committed == {CLICKS: 2}
    clock.now += 0.021
    await lane._turn()
    assert source.committed == {CLICKS: 2 + 3 * SLICE_RECORDS}
    bench.thread.shutdown()


async def test_the_sources_are_applied_by_time(bench: Bench) -> None:
    """A backlog of purchases does not run ahead of the clicks of its time."""
    bench.source.lags[CLICKS] = 3
    bench.lane.offer(chunk([record(n, topic=PURCHASES, time_ms=10 * n) for n in range(3)]))
    bench.lane.offer(chunk([record(n, topic=CLICKS, time_ms=10 * n + 5) for n in range(3)]))
    bench.source.lags[CLICKS] = 0
    await bench.idle()
    assert bench.metric("freshet_late_events_total") == 0
    assert bench.partition.sequence() == [0, 0, 1, 1, 2, 2]


async def test_readiness_tells_the_truth(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready is: restored, assigned, committing."""
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.source.epoch += 1
    assert "assignment" in (bench.lane.readiness or "")
    bench.source.epoch -= 1
    bench.partition.fail("send", *(OSError("away") for _ in range(100_000)))
    bench.lane.offer(chunk([record(0)]))
    await bench.wait(lambda: "away" in (bench.lane.readiness or ""))
    bench.partition.failures.clear()
    await bench.idle()
    monkeypatch.setattr(bench.lane.pacing, "since", -STUCK_SECONDS)
    assert "nothing was committed" in (bench.lane.readiness or "")


async def test_lag_is_what_is_not_durable(bench: Bench) -> None:
    """What is applied counts as lag until it is durable, and its age is that of the oldest of it."""
    bench.partition.fail("send", *(OSError("away") for _ in range(100_000)))
    bench.source.lags[CLICKS] = 5
    bench.lane.offer(chunk([record(offset) for offset in range(3)]))
    await bench.wait(lambda: "away" in (bench.lane.readiness or ""))
    assert bench.lane.describe()["lag"] == {ERASURES: 0, CLICKS: 8, PURCHASES: 0}
    bench.lane.backlog.measure(bench.tools.metrics)
    assert bench.metric("freshet_consumer_lag_events") == 8
    assert bench.metric("freshet_consumer_lag_seconds") == 60.0
    bench.partition.failures.clear()
    bench.source.lags[CLICKS] = 0
    await bench.idle()
    bench.lane.backlog.measure(bench.tools.metrics)
    assert bench.metric("freshet_consumer_lag_seconds") == 0.0


async def test_close_waits_for_the_step_that_is_under_way(bench: Bench) -> None:
    """Nobody closes a store while the model's thread works on it."""
    gate = threading.Event()
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.thread.submit(gate.wait)
    bench.lane.offer(chunk([record(0)]))
    await bench.wait(lambda: bench.lane.transaction is not None)
    closing = asyncio.create_task(bench.lane.close())
    await asyncio.sleep(0.02)
    assert (closing.done(), bench.partition.closes) == (False, 0)
    gate.set()
    await closing
    assert bench.partition.closes == 1
