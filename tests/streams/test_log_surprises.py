"""What a log can do to its reader: begin late, have holes, lose its beginning, be compacted."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from streams.connection import admin, consumer, producer
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess, expel

START_MS = 1_700_000_000_000
COMPACTED_SECONDS = 60.0

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
OpenShop = Callable[[Settings], Shop]


def one_partition(settings: Settings) -> Settings:
    """Return the same settings for topics of one partition."""
    topics = msgspec.structs.replace(settings.topics, partitions=1)
    return msgspec.structs.replace(settings, topics=topics)


def send(shop: Shop, first: int, last: int) -> None:
    """Send numbered clicks of one user: their offsets are their numbers."""
    for number in range(first, last):
        shop.send("u", f"i{number}", START_MS + 1000 * number)
    shop.flush()


def forget(settings: Settings, before: int) -> None:
    """Let the clicks begin at this offset, as retention would."""
    from kafka import TopicPartition

    with admin(settings) as client:
        client.delete_records({TopicPartition(next(iter(settings.sources)), 0): before})


def wait_for(worker: WorkerProcess, numbers: list[int]) -> None:
    """Wait until the worker remembers these events of the user, and no others."""
    expected = [f"i{number}" for number in numbers]

    def is_so() -> bool:
        user = worker.user("u")
        found = [] if user is None else [event["item_id"] for event in user["sequence"]]
        return found == expected and worker.lag() == 0

    worker.wait_until(is_so, f"just {numbers}")


def test_a_source_that_begins_late_and_has_holes(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """The marks of transactions, and what they took back, are no loss: nothing is counted, nor doubled."""
    settings = one_partition(settings_for())
    shop = open_shop(settings)
    send(shop, 0, 10)
    forget(settings, 7)
    with producer(settings, transactional_id=f"{settings.group}-shop") as kafka:
        kafka.init_transactions()
        for number in range(10, 16):
            message = {"user_id": "u", "item_id": f"i{number}", "timestamp": START_MS + 1000 * number}
            kafka.begin_transaction()
            kafka.send(shop.topics["click"], key=b"u", value=msgspec.json.encode(message))
            kafka.flush()
            if number % 2:
                kafka.commit_transaction()
            else:
                kafka.abort_transaction()
    kept = [7, 8, 9, 11, 13, 15]
    worker = start_worker(settings)
    wait_for(worker, kept)
    worker.kill()
    expel(settings)
    worker = start_worker(settings)
    wait_for(worker, kept)
    send(shop, 22, 23)
    wait_for(worker, [*kept, 22])
    assert worker.metric("freshet_lost_to_retention_total") == 0
    assert worker.stop() == 0


@pytest.mark.parametrize("worker_is", ["down", "frozen"])
def test_what_retention_takes_before_it_is_applied_is_counted(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, worker_is: str
) -> None:
    """Exactly so many as were lost, once, whether the worker was down meanwhile or only slow."""
    settings = one_partition(settings_for())
    shop = open_shop(settings)
    send(shop, 0, 5)
    worker = start_worker(settings)
    wait_for(worker, list(range(5)))
    if worker_is == "down":
        assert worker.stop() == 0
    else:
        worker.process.send_signal(signal.SIGSTOP)
        time.sleep(0.2)  # so that no fetch is under way any more
    send(shop, 5, 15)
    forget(settings, 12)
    if worker_is == "down":
        worker = start_worker(settings)
    else:
        worker.process.send_signal(signal.SIGCONT)
    wait_for(worker, [*range(5), *range(12, 15)])
    assert worker.metric("freshet_lost_to_retention_total") == 7
    worker.wait_ready()
    send(shop, 15, 17)
    wait_for(worker, [*range(5), *range(12, 17)])
    assert worker.metric("freshet_lost_to_retention_total") == 7
    assert worker.stop() == 0
    again = start_worker(settings)
    wait_for(again, [*range(5), *range(12, 17)])
    assert again.metric("freshet_lost_to_retention_total") == 0
    assert again.stop() == 0


def test_a_log_that_was_emptied_goes_on_with_what_comes(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """A source that lost everything under a slow worker is counted as lost, and its next event is applied."""
    settings = one_partition(settings_for())
    shop = open_shop(settings)
    send(shop, 0, 3)
    worker = start_worker(settings)
    wait_for(worker, [0, 1, 2])
    worker.process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    send(shop, 3, 9)
    forget(settings, -1)
    worker.process.send_signal(signal.SIGCONT)
    worker.wait_until(lambda: worker.metric("freshet_lost_to_retention_total") == 6, "counted")
    send(shop, 9, 10)
    wait_for(worker, [0, 1, 2, 9])
    assert worker.stop() == 0


def test_a_compacted_changelog_restores_the_same_users(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, tmp_path: Path
) -> None:
    """Whether from its beginning or from the middle of what was compacted: users and next are the same."""
    settings = one_partition(settings_for())
    shop = open_shop(settings)
    hurry(settings)
    worker = start_worker(settings)
    for burst in range(4):  # each in batches of its own
        send(shop, 10 * burst, 10 * burst + 10)
        wait_for(worker, list(range(10 * burst + 10)))
        if burst == 1:
            worker.kill()  # its store stands in the middle
            expel(settings)
            worker = start_worker(settings, data_directory=str(tmp_path / "other"))
            worker.wait_ready()
        time.sleep(1.1)  # the next write begins another segment
    users = worker.describe()["digests"]["users"]
    assert worker.stop() == 0
    wait_for_compaction(settings)
    for directory in (str(tmp_path / "fresh"), settings.data_directory):
        restored = start_worker(settings, data_directory=directory)
        wait_for(restored, list(range(40)))
        assert restored.describe()["digests"]["users"] == users
        assert restored.metric("freshet_events_total") == 0
        assert restored.stop() == 0


def test_examples_that_are_gone_but_were_counted_are_not_missed(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """A worker whose examples retention took after they were counted starts again, as ever."""
    from kafka import TopicPartition

    settings = one_partition(settings_for(checkpoint_seconds=1))
    shop = open_shop(settings)
    send(shop, 0, 3)
    worker = start_worker(settings)
    wait_for(worker, [0, 1, 2])
    worker.wait_until(lambda: worker.metric("freshet_checkpoint_bytes") > 0, "a checkpoint")
    assert worker.stop() == 0
    with admin(settings) as client:
        client.delete_records({TopicPartition(settings.examples_topic, 0): -1})
    worker = start_worker(settings)
    wait_for(worker, [0, 1, 2])
    assert worker.metric("freshet_examples_missed_total") == 0
    assert worker.stop() == 0


def hurry(settings: Settings) -> None:
    """Have the users' changelog compacted as soon as possible."""
    from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

    hurried = {"segment.ms": "1000", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "1000"}
    with admin(settings) as client:
        changes = {name: (AlterConfigOp.SET, value) for name, value in hurried.items()}
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.users_topic, changes)])


def wait_for_compaction(settings: Settings) -> None:
    """Wait until the oldest states of the user are gone from the changelog."""
    from kafka import TopicPartition

    tp = TopicPartition(settings.users_topic, 0)
    deadline = time.monotonic() + COMPACTED_SECONDS
    with consumer(settings) as reader:
        reader.assign([tp])
        while True:
            reader.seek_to_beginning(tp)
            records = reader.poll(timeout_ms=2000).get(tp, [])
            if records and sum(record.key == b"u" for record in records) <= 2:
                return
            assert time.monotonic() < deadline, f"not compacted: {[record.key for record in records]}"
            time.sleep(1.0)
