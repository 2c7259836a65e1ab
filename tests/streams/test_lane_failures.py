"""A lane without a broker: whatever fails, every event counts once, and nothing stops the others."""

import asyncio
import random
import time
from collections.abc import Sequence

import pytest
from aiokafka.errors import ProducerFenced

from state import CorruptState, StoreError
from state.overlay import Overlay
from streams.hand import MOST_DEFECTS
from streams.lane import MEMBER_SECONDS
from streams.partition import LostLogError
from tests.streams.fakes import CLICKS, PURCHASES, chunk, record
from tests.streams.lane_bench import SETTINGS, Bench


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


async def test_who_was_fenced_opens_nothing_before_the_group_has_it_as_a_member(bench: Bench) -> None:
    """A worker that another one fenced does not fence it in return: it may be out of the group by now."""
    bench.source.member_at = time.monotonic()
    bench.partition.fail("send", ProducerFenced())
    bench.lane.begin(1)
    bench.lane.offer(chunk([record(0, "u0")], epoch=1))
    await bench.wait(lambda: "ProducerFenced" in (bench.lane.readiness or ""))
    opened = bench.caught_up
    await asyncio.sleep(5 * MEMBER_SECONDS)
    assert bench.caught_up == opened
    assert not bench.source.committed
    bench.source.member_at = time.monotonic()
    await bench.idle()
    assert bench.source.committed == {CLICKS: 1}
    assert bench.partition.sequence("u0") == [0]


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
