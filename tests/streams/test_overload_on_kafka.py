"""A backlog on a real Kafka, on disks of all kinds: what is in memory is bounded, and nothing is lost."""

import random
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.chunk import CHUNK_RECORDS
from streams.identity import read_address
from streams.inlet import HOLD_RECORDS
from streams.pacing import SLICE_RECORDS
from streams.settings import Settings
from streams.worker import BUFFERED_CHUNKS
from tests.streams.forking import Forked
from tests.streams.running import Shop, WorkerProcess
from tests.streams.slow_disk import run_on_disk

START_MS = 1_700_000_000_000
EVENTS = 12_000
USERS = 40
SAMPLE_SECONDS = 0.2


def fill(shop: Shop, events: int, seed: int) -> None:
    """Send events of some users, of whom one has nearly half."""
    rng = random.Random(seed)
    for number in range(events):
        user = 0 if rng.random() < 0.4 else rng.randrange(USERS)
        action = "click" if rng.random() < 0.9 else "purchase"
        shop.send(f"u{user}", f"i{rng.randrange(30)}", START_MS + number, action)
    shop.flush()


def check_sequences(worker: WorkerProcess, shop: Shop) -> None:
    """Every user's sequence is the oracle's, and every event was applied once."""
    for user_id in shop.sent:
        found = worker.user(user_id)
        assert found is not None
        assert [event["item_id"] for event in found["sequence"]] == shop.sequence(user_id)
    assert worker.metric("freshet_events_total") == shop.count


def most_waiting(told: dict[str, Any]) -> int:
    """Return how many records of one topic of one partition wait in a worker's memory, at most."""
    return max(records for lane in told["partitions"] for records in lane["waiting"].values())


@pytest.fixture
def start_on_disk(
    settings_file: Callable[[Settings], Path], tmp_path: Path
) -> Iterator[Callable[[Settings], tuple[WorkerProcess, Path]]]:
    """Give a function that starts a worker, and the file that says what its disk does."""
    started: list[WorkerProcess] = []

    def start(settings: Settings) -> tuple[WorkerProcess, Path]:
        control, log = tmp_path / f"disk-{len(started)}", tmp_path / f"slow-worker-{len(started)}.log"
        control.write_text("0")
        words = ["worker", "--config", str(settings_file(settings))]
        started.append(WorkerProcess(settings, Forked(run_on_disk, control, words, log=log), log))
        return started[-1], control

    yield start
    for worker in started:
        worker.process.close()


def test_a_backlog_is_worked_through_in_a_bounded_memory(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    read_topic: Callable[[Settings, str], Sequence[Any]],
) -> None:
    """Lag only falls, little is in memory, the worker is ready meanwhile, and lists are few."""
    settings = settings_for(history_length=200)
    shop = open_shop(settings)
    fill(shop, EVENTS, seed=1)
    worker = start_worker(settings)
    worker.wait_ready()
    lags, waiting, statuses = [], 0, set()
    while not lags or lags[-1]:
        told = worker.describe()
        lags.append(sum(sum(lane["lag"].values()) for lane in told["partitions"]))
        waiting = max(waiting, most_waiting(told))
        statuses.add(worker.get("/ready"))
        if worker.metric("freshet_events_total") < EVENTS:
            lags[-1] = lags[-1] or 1  # before the first fetch nobody knows it
        time.sleep(SAMPLE_SECONDS)
    check_sequences(worker, shop)
    falling = lags[lags.index(max(lags)) :]
    assert len(falling) > 3
    assert all(one >= other for one, other in pairwise(falling))
    assert SLICE_RECORDS <= waiting <= HOLD_RECORDS + (1 + BUFFERED_CHUNKS) * CHUNK_RECORDS
    assert statuses == {(200, "ready\n")}
    lists = read_topic(settings, settings.topics.recommendations)
    assert len(lists) == worker.metric("freshet_lists_total") < EVENTS / 8
    assert worker.metric("freshet_rebalances_total") == 1


def test_a_slow_disk_costs_time_and_nothing_else(
    settings_for: Callable[..., Settings],
    start_on_disk: Callable[[Settings], tuple[WorkerProcess, Path]],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """While every write takes a second the partitions stay, heartbeats go on, and all is applied once."""
    settings = settings_for(history_length=200)
    shop = open_shop(settings)
    worker, disk = start_on_disk(settings)
    worker.wait_ready()
    disk.write_text("1.0")
    fill(shop, EVENTS, seed=2)
    waiting = 0
    for _ in range(8):  # seconds: longer than a session
        time.sleep(1)
        waiting = max(waiting, most_waiting(worker.describe()))
    assert waiting <= HOLD_RECORDS + (1 + BUFFERED_CHUNKS) * CHUNK_RECORDS
    assert worker.get("/ready") == (200, "ready\n")
    assert worker.metric("freshet_rebalances_total") == 1
    disk.write_text("0")
    worker.wait_until(lambda: worker.has_applied(shop), "applied", seconds=120)
    check_sequences(worker, shop)
    assert worker.metric("freshet_duplicates_skipped_total") == 0
    assert worker.metric("freshet_rebalances_total") == 1
    assert worker.stop() == 0


def test_a_disk_that_fails_stops_the_worker_until_it_works_again(
    settings_for: Callable[..., Settings],
    start_on_disk: Callable[[Settings], tuple[WorkerProcess, Path]],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """/ready says why while nothing can be written; then the worker goes on, nothing lost or twice."""
    settings = settings_for(history_length=200)
    shop = open_shop(settings)
    worker, disk = start_on_disk(settings)
    worker.wait_ready()
    fill(shop, 500, seed=3)
    worker.wait_until(lambda: worker.has_applied(shop), "applied")
    complaint = "No space left on device"
    disk.write_text(complaint)
    fill(shop, 1500, seed=4)
    worker.wait_until(lambda: complaint in worker.get("/ready")[1], "said so")
    assert worker.get("/ready")[0] == 503
    assert worker.get("/live")[0] == 200
    time.sleep(2)
    disk.write_text("0")
    worker.wait_ready()
    worker.wait_until(lambda: worker.has_applied(shop), "applied", seconds=120)
    check_sequences(worker, shop)
    assert worker.metric("freshet_rebalances_total") == 1
    assert worker.stop() == 0


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process's files")
def test_files_that_cannot_grow_stop_the_worker_until_they_can(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """RocksDB itself fails on its files, and on being opened again; when it can write, all goes on."""
    settings = settings_for(history_length=200)
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    address = read_address(Path(settings.data_directory))
    assert address is not None
    unlimited = resource.prlimit(address.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(address.pid, resource.RLIMIT_FSIZE, (1, unlimited[1]))
    fill(shop, 1500, seed=5)
    worker.wait_until(lambda: "StoreError: cannot" in worker.get("/ready")[1], "said so")
    time.sleep(2)
    assert worker.get("/ready")[0] == 503
    resource.prlimit(address.pid, resource.RLIMIT_FSIZE, unlimited)
    worker.wait_ready()
    worker.wait_until(lambda: worker.has_applied(shop), "applied", seconds=120)
    check_sequences(worker, shop)
    assert worker.stop() == 0
