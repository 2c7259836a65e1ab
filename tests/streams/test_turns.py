"""Whose turn it is when several partitions go through a backlog."""

import asyncio
import math
import random

from aiokafka.structs import ConsumerRecord

from streams.merging import WAIT_SECONDS
from streams.pacing import TURN_RECORDS
from streams.turns import LEAST_RECORDS, PATIENCE_SECONDS, Turns
from tests.streams.fakes import CLICKS, PURCHASES, chunk, record
from tests.streams.lane_bench import Bench


def _nobody() -> None:
    """Wake nobody."""


def test_the_oldest_goes_on_up_to_the_next_oldest() -> None:
    """When a turn ends, the one with the oldest record may go, as far as the record of the next."""
    turns = Turns()
    assert turns.ask(0, 1000, 0.0, _nobody) == math.inf
    assert turns.ask(1, 2000, 0.0, _nobody) is None
    assert turns.ask(2, 500, 0.0, _nobody) is None
    turns.leave(0)
    assert turns.ask(1, 2000, 0.0, _nobody) is None
    assert turns.ask(2, 500, 0.0, _nobody) == 2000


def test_who_is_next_is_woken() -> None:
    """The end of a turn wakes the oldest of those that wait, and nobody else."""
    turns, woken = Turns(), list[int]()
    turns.ask(0, 1000, 0.0, _nobody)
    for number, head_ms in ((1, 3000), (2, 2000)):
        turns.ask(number, head_ms, 0.0, lambda number=number: woken.append(number))
    turns.leave(3)  # somebody who had nothing to do with it
    assert woken == []
    turns.leave(0)
    assert woken == [2]
    turns.leave(2)
    assert woken == [2, 1]


def test_nobody_waits_for_long() -> None:
    """A partition goes on after a while, however old the records of another that stands still."""
    turns = Turns()
    turns.ask(0, 0, 0.0, _nobody)
    assert turns.ask(1, 1000, 10.0, _nobody) is None
    assert turns.ask(1, 1000, 10.0 + PATIENCE_SECONDS / 2, _nobody) is None
    assert turns.ask(1, 1000, 10.0 + PATIENCE_SECONDS, _nobody) == math.inf


def test_partitions_stay_together_in_time() -> None:
    """Whatever the partitions' sizes, none runs ahead of another by more than what it takes at least."""
    rng, turns = random.Random(1), Turns()
    logs = [sorted(rng.sample(range(100_000), size)) for size in (900, 5_000, 9_000)]
    at = [0, 0, 0]
    for number, log in enumerate(logs):
        turns.went_on(number, log[0])
    while any(at[number] < len(log) for number, log in enumerate(logs)):
        left = [number for number, log in enumerate(logs) if at[number] < len(log)]
        asked = {number: turns.ask(number, logs[number][at[number]], 0.0, _nobody) for number in left}
        number, until_ms = next((n, until) for n, until in asked.items() if until is not None)
        for taken in range(250):
            if at[number] == len(logs[number]) or (
                taken >= LEAST_RECORDS and logs[number][at[number]] > until_ms
            ):
                break
            at[number] += 1
        for other in set(left) - {number}:
            ahead = sum(logs[other][at[other]] < done for done in logs[number][: at[number]])
            assert ahead <= LEAST_RECORDS
        turns.went_on(number, logs[number][at[number]] if at[number] < len(logs[number]) else None)


async def test_a_partition_that_is_behind_waits_for_an_older_one() -> None:
    """With a backlog a lane leaves the turn to an older record elsewhere; without one it asks nobody."""
    bench = Bench()
    turns = bench.lane.pacing._turns
    turns.ask(99, 0, 0.0, _nobody)
    bench.lane.begin(1)
    assert await bench.lane._turn() == 0
    bench.lane.offer(chunk([record(offset) for offset in range(TURN_RECORDS)]))
    assert await bench.lane._turn() == PATIENCE_SECONDS
    turns.leave(99)
    assert await bench.lane._turn() == 0
    assert bench.lane.describe()["waiting"][CLICKS] < TURN_RECORDS
    turns.ask(99, 0, 0.0, _nobody)
    bench.lane.offer(chunk([record(offset) for offset in range(TURN_RECORDS, TURN_RECORDS + 10)]))
    assert await bench.lane._turn() == 0
    bench.thread.shutdown()


async def _short_of_purchases(*records: ConsumerRecord) -> Bench:
    """Return a bench whose lane has records in its backlog, and lag of purchases that are not here."""
    bench = Bench()
    bench.lane.begin(1)
    assert await bench.lane._turn() == 0
    bench.source.lags[PURCHASES] = 5
    for each in (*records, *(record(offset, time_ms=offset + 5) for offset in range(300))):
        bench.lane.offer(chunk([each]))
    return bench


async def test_a_lane_that_waits_for_its_turn_lets_others_work() -> None:
    """Waiting for a turn takes time off the loop, also for who was waiting for one of its topics before."""
    bench = await _short_of_purchases(record(0, topic=PURCHASES, time_ms=1))
    assert await bench.lane._turn() == 0  # applies the purchase, and misses the next
    bench.lane.pacing._turns.ask(99, 0, 0.0, _nobody)
    await asyncio.sleep(1.5 * WAIT_SECONDS)
    assert await bench.lane._turn() == 0  # commits
    assert (await bench.lane._turn() or 0) > 0
    bench.thread.shutdown()


async def test_a_turn_is_given_back_by_who_cannot_use_it() -> None:
    """A lane that has to wait for one of its topics lets the others go on meanwhile."""
    bench = await _short_of_purchases()
    assert 0 < (await bench.lane._turn() or 0) <= WAIT_SECONDS
    assert bench.lane.pacing._turns.ask(99, 10_000, 0.0, _nobody) == math.inf
    bench.thread.shutdown()
