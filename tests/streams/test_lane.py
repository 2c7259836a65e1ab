"""A lane without a broker: what it does with chunks, epochs, failures and time."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from state import CorruptState, StoreError
from state.overlay import Overlay
from streams import lane as lane_module
from streams.events import decode_list
from streams.hand import MOST_DEFECTS
from streams.inlet import HOLD_BYTES, HOLD_RECORDS
from streams.lane import COMMIT_SECONDS, STUCK_SECONDS, Lane
from streams.partition import LostLogError
from streams.recommender import Recommender, Record, Step
from streams.settings import Settings
from tests.streams.fakes import (
    CLICKS,
    PURCHASES,
    START_MS,
    FakePartition,
    FakeSource,
    chunk,
    raw,
    record,
    tools_for,
)

SETTINGS = Settings(device="cpu", history_length=1000)


class Fragile(Recommender):
    """A recommender that fails on some items, every time or a few times."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.fails: dict[str, int] = {}

    def step(self, records: Sequence[Record], overlay: Overlay, *rest: object) -> Step:
        """Fail half-way through the records if one of them has such an item."""
        for number, each in enumerate(records):
            for line in each.interactions:
                if self.fails.get(line.item_id, 0) > 0:
                    self.fails[line.item_id] -= 1
                    super().step(records[:number], overlay, *rest)
                    raise ZeroDivisionError(f"cannot think of {line.item_id}")
        return super().step(records, overlay, *rest)


class Bench:
    """A lane on a fake partition and a fake transport."""

    def __init__(self) -> None:
        self.source, self.partition = FakeSource(), FakePartition()
        self.recommender = Fragile(SETTINGS)
        self.tools = tools_for(SETTINGS, self.recommender, now_seconds=lambda: START_MS / 1000 + 60)
        self.thread = ThreadPoolExecutor(1)
        self.caught_up = 0
        self.lane = Lane(self.partition, self.source, self.tools, self.thread, self._catch_up)

    async def _catch_up(self, partition: int) -> None:
        self.caught_up += 1

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Let the lane work until a condition holds."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.001)

    async def idle(self) -> None:
        """Let the lane work until everything that it was given is durable."""
        await self.wait(lambda: self.lane.readiness is None)
        await self.wait(lambda: not any(lag for lag in self.lane.describe()["lag"].values()))

    def metric(self, name: str) -> float:
        """Return the sum of a series over its labels."""
        lines = self.tools.metrics.render().decode().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(map(float, values))


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """Give a bench whose lane works, and waits for nothing."""
    monkeypatch.setattr(lane_module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(lane_module, "COMMIT_SECONDS", 0.0)
    made = Bench()
    made.lane.start()
    made.lane.begin(1)
    yield made
    await made.lane.close()
    made.thread.shutdown()


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


@pytest.mark.parametrize("point", ["open", "send", "write"])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_failure_is_repaired_in_its_partition(bench: Bench, point: str, times: int) -> None:
    """Wherever the broker or the disk fails, every event counts once, and the others are not rewound."""
    bench.partition.fail(point, *(ConnectionError("away") for _ in range(times)))
    bench.source.rewind()
    bench.lane.begin(2)
    for start in range(0, 600, 100):
        records = [record(offset, f"u{offset % 7}") for offset in range(start, start + 100)]
        bench.lane.offer(chunk(records, epoch=2))
        await asyncio.sleep(0.002)
    await bench.idle()
    for user in range(7):
        assert bench.partition.sequence(f"u{user}") == list(range(user, 600, 7))
    assert len(bench.source.rewinds) == 1
    assert not bench.partition.failures[point]
    assert bench.source.committed == {CLICKS: 600}


@pytest.mark.parametrize("seed", range(8))
async def test_random_failures_and_rewinds_count_every_event_once(bench: Bench, seed: int) -> None:
    """Whatever fails, and wherever epochs end, each event is once in the states or in the dead letters."""
    rng = random.Random(seed)
    logs = {
        topic: [record(o, f"u{rng.randrange(5)}", f"i{rng.randrange(9)}", topic) for o in range(400)]
        for topic in (CLICKS, PURCHASES)
    }
    at = dict.fromkeys(logs, 0)
    while any(at[topic] < 400 for topic in logs) or bench.source.committed != dict.fromkeys(logs, 400):
        if rng.random() < 0.15:
            point = rng.choice(["open", "send", "write"])
            bench.partition.fail(point, rng.choice([OSError("no"), StoreError("no")]))
        if rng.random() < 0.1:
            bench.recommender.fails[f"i{rng.randrange(9)}"] = 1
        if rng.random() < 0.1:
            bench.source.rewind()
            bench.lane.begin(bench.source.epoch)
            at = {topic: bench.source.committed.get(topic, 0) for topic in logs}
        for topic, log in logs.items():
            if taken := log[at[topic] : at[topic] + rng.randrange(60)]:
                bench.lane.offer(chunk(taken, bench.source.epoch))
                at[topic] = taken[-1].offset + 1
        await asyncio.sleep(rng.random() * 0.01)
    refused = [
        (int(dict(headers)["source-offset"]), dict(headers)["source-topic"].decode())
        for topic, _, _, headers in bench.partition.sent
        if topic == SETTINGS.topics.dead_letters
    ]
    for user in range(5):
        found = Overlay(bench.partition.truth).peek(f"u{user}")
        key = f"u{user}".encode()
        expected = [(r.offset, r.topic) for log in logs.values() for r in log if r.key == key]
        assert found is not None
        topics = [found.state.topics[index] for index in found.state.topic_indexes]
        assert list(zip(found.state.offsets, topics, strict=True)) == sorted(set(expected) - set(refused))
    assert len(refused) == len(set(refused))


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


async def test_a_changelog_that_lost_its_end_goes_back(bench: Bench) -> None:
    """If less is durable after a failure than before it, what is missing is delivered again."""
    bench.lane.offer(chunk([record(0), record(1)]))
    await bench.idle()
    before = dict(bench.partition.truth.scan())
    bench.lane.offer(chunk([record(2)]))
    await bench.idle()
    bench.partition.truth.wipe()
    bench.partition.truth.write(before)
    bench.partition.fail("send", OSError("away"))
    bench.lane.offer(chunk([record(3)]))
    await bench.wait(lambda: bool(bench.source.rewinds))
    assert bench.source.rewinds == [{(CLICKS, 0): 2}]


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
    monkeypatch.setattr(lane_module, "COMMIT_SECONDS", 0.0)
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
    monkeypatch.setattr(lane_module, "time", clock)
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
    assert source.committed == {CLICKS: 752}
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


async def test_a_log_that_was_made_anew_stops_its_partition(bench: Bench) -> None:
    """Nothing is applied from then on, and the reason is told, until another epoch."""
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.partition.fail("open", LostLogError("clicks ends at 3 but is applied to 9"))
    bench.source.rewind()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0)], epoch=2))
    await bench.wait(lambda: "applied to 9" in (bench.lane.readiness or ""))
    await asyncio.sleep(0.01)
    assert bench.partition.sequence() == []
    bench.source.rewind()
    bench.lane.begin(3)
    bench.lane.offer(chunk([record(0)], epoch=3))
    await bench.idle()
    assert bench.partition.sequence() == [0]


async def test_a_log_that_goes_back_stops_its_partition(bench: Bench) -> None:
    """A topic that is deleted and made anew while it is read does not pass for one that comes again."""
    bench.lane.offer(chunk([record(offset) for offset in range(5)]))
    await bench.idle()
    bench.lane.offer(chunk([record(0), record(1)], start=5))
    await bench.wait(lambda: "made anew" in (bench.lane.readiness or ""))
    assert bench.metric("freshet_duplicates_skipped_total") == 0


async def test_a_record_that_something_fails_on_does_not_stop_the_others(bench: Bench) -> None:
    """It ends in the dead letters as a defect, untouched; every other one is applied once, in order."""
    bench.recommender.fails = {"poison": 1000}
    poisonous = {57, 300}
    records = [record(n, item_id="poison" if n in poisonous else f"i{n % 5}") for n in range(600)]
    bench.lane.offer(chunk(records))
    await bench.idle()
    assert bench.partition.letters(SETTINGS) == [(57, "defect"), (300, "defect")]
    assert bench.partition.sequence() == [n for n in range(600) if n not in poisonous]
    assert bench.recommender.events == 598
    assert bench.source.rewinds == []
    letter = next(row for row in bench.partition.sent if row[0] == SETTINGS.topics.dead_letters)
    assert letter[2] == records[57].value
    assert b"cannot think of poison" in dict(letter[3])["detail"]


async def test_a_failure_that_passes_refuses_nothing(bench: Bench) -> None:
    """A record on which something failed once is applied when it is tried alone."""
    bench.recommender.fails = {"shy": 1}
    bench.lane.offer(chunk([record(0), record(1, item_id="shy"), record(2)]))
    await bench.idle()
    assert bench.partition.sequence() == [0, 1, 2]
    assert bench.partition.letters(SETTINGS) == []


async def test_a_model_that_fails_on_everything_refuses_only_a_few(bench: Bench) -> None:
    """When nothing but failures follow each other no more events are refused, and the reason is told."""
    bench.recommender.fails = {"i": 10_000}
    bench.lane.offer(chunk([record(offset) for offset in range(50)]))
    await bench.wait(lambda: "ZeroDivisionError" in (bench.lane.readiness or ""))
    await asyncio.sleep(0.02)
    assert len(bench.partition.letters(SETTINGS)) == MOST_DEFECTS
    bench.recommender.fails = {}
    await bench.idle()
    assert bench.partition.sequence() == list(range(MOST_DEFECTS, 50))


async def test_a_ranking_that_fails_for_one_user_does_not_stop_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that cannot be made costs the records behind it, not the partition."""
    recommend = bench.recommender.recommend

    def fragile(users: Sequence[object], partition: int) -> object:
        if any(user.user_id == "odd" for user in users):
            raise ArithmeticError("no list for this one")
        return recommend(users, partition)

    monkeypatch.setattr(bench.recommender, "recommend", fragile)
    bench.lane.offer(chunk([record(n, "odd" if n == 3 else "u") for n in range(8)]))
    await bench.idle()
    assert bench.partition.letters(SETTINGS) == [(3, "defect")]
    assert bench.partition.sequence() == [0, 1, 2, 4, 5, 6, 7]


async def test_a_broken_store_is_opened_anew(bench: Bench) -> None:
    """RocksDB refuses everything after a failed write: the store is closed, and then opened again."""
    bench.partition.fail("write", StoreError("no space left"))
    bench.lane.offer(chunk([record(0)]))
    await bench.idle()
    assert bench.partition.closes == 1
    assert bench.partition.sequence() == [0]


async def test_a_damaged_store_is_restored_once(bench: Bench) -> None:
    """Damage is repaired from the changelog; if the changelog has it, too, the partition stops."""
    bench.partition.fail("open", CorruptState("damaged"))
    bench.source.rewind()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0)], epoch=2))
    await bench.idle()
    assert (bench.partition.wipes, bench.partition.sequence()) == (1, [0])
    bench.partition.fail("open", *(CorruptState("damaged for good") for _ in range(9)))
    bench.source.rewind()
    bench.lane.begin(3)
    await bench.wait(lambda: bench.lane.readiness == "damaged for good")
    await asyncio.sleep(0.02)
    assert bench.partition.wipes == 2


async def test_a_repair_that_fails_is_tried_again(bench: Bench) -> None:
    """A lane survives that even its repair fails."""
    bench.partition.fail("open", CorruptState("damaged"))
    bench.partition.fail("wipe", StoreError("no space left"))
    bench.source.rewind()
    bench.lane.begin(2)
    bench.lane.offer(chunk([record(0)], epoch=2))
    await bench.idle()
    assert bench.partition.sequence() == [0]


async def test_what_retention_took_is_counted_once(bench: Bench) -> None:
    """Lost records are counted when their loss is durable, not at every opening."""
    bench.lane.offer(chunk([record(0)]))
    await bench.idle()
    bench.partition.log_starts = {CLICKS: 41}
    for epoch in (2, 3):
        bench.source.rewind()
        bench.lane.begin(epoch)
        await bench.idle()
    assert bench.metric("freshet_lost_to_retention_total") == 40
    assert bench.partition.next_offsets == {CLICKS: 41}


async def test_readiness_tells_the_truth(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ready is: restored, assigned, committing."""
    await bench.wait(lambda: bench.lane.readiness is None)
    bench.source.epoch += 1
    assert "assignment" in (bench.lane.readiness or "")
    bench.source.epoch -= 1
    bench.partition.fail("send", *(OSError("away") for _ in range(1000)))
    bench.lane.offer(chunk([record(0)]))
    await bench.wait(lambda: "away" in (bench.lane.readiness or ""))
    bench.partition.failures.clear()
    await bench.idle()
    monkeypatch.setattr(bench.lane, "_since", -STUCK_SECONDS)
    assert "nothing was committed" in (bench.lane.readiness or "")


async def test_lag_is_what_is_not_durable(bench: Bench) -> None:
    """What is applied counts as lag until it is durable, and its age is that of the oldest of it."""
    bench.partition.fail("send", *(OSError("away") for _ in range(100_000)))
    bench.source.lags[CLICKS] = 5
    bench.lane.offer(chunk([record(offset) for offset in range(3)]))
    await bench.wait(lambda: "away" in (bench.lane.readiness or ""))
    assert bench.lane.describe()["lag"] == {CLICKS: 8, PURCHASES: 0}
    bench.lane.measure(bench.tools.metrics)
    assert bench.metric("freshet_consumer_lag_events") == 8
    assert bench.metric("freshet_consumer_lag_seconds") == 60.0
    bench.partition.failures.clear()
    bench.source.lags[CLICKS] = 0
    await bench.idle()
    bench.lane.measure(bench.tools.metrics)
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
