"""A user is forgotten by a running worker, on a real Kafka: what is left of them, and where."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.connection import admin, producer
from streams.erasing import erase_users
from streams.identity import CHECKPOINTS, PARTITIONS
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000
GONE = "the-user-who-is-erased"
COMPACTED_AT_ONCE = {
    "segment.ms": "500",
    "min.cleanable.dirty.ratio": "0.001",
    "max.compaction.lag.ms": "500",
    "delete.retention.ms": "0",
}


def compact_at_once(settings: Settings, topic: str) -> None:
    """Let the broker's cleaner take everything that is replaced or deleted, as soon as it looks."""
    from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

    configs = {name: (AlterConfigOp.SET, value) for name, value in COMPACTED_AT_ONCE.items()}
    with admin(settings) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])


def holders(directory: Path, user_id: str) -> list[str]:
    """Return the files below a directory that have a user's id in them."""
    found = [
        file for file in directory.rglob("*") if file.is_file() and user_id.encode() in file.read_bytes()
    ]
    return sorted(file.name for file in found)


@pytest.fixture
def world(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
) -> tuple[Settings, Shop, WorkerProcess]:
    """Give a worker that has applied events of the user to be erased, and of others."""
    settings = settings_for(checkpoint_seconds=1, exclude="seen")
    shop = open_shop(settings)
    worker = start_worker(settings)
    for number in range(60):
        shop.send(GONE, f"i{number % 9}", START_MS + number)
        shop.send(f"u{number % 7}", f"i{number % 11}", START_MS + number, "purchase")
    shop.flush()
    worker.wait_ready()
    worker.wait_until(lambda: worker.has_applied(shop), "applied")
    return settings, shop, worker


def test_nothing_of_an_erased_user_is_left(
    world: tuple[Settings, Shop, WorkerProcess],
    read_topic: Callable[[Settings, str], list[Any]],
) -> None:
    """After compaction neither the store's files nor checkpoints nor compacted topics know the user."""
    settings, shop, worker = world
    directory = Path(settings.data_directory)
    compacted = (settings.users_topic, settings.topics.recommendations)
    assert worker.user(GONE) is not None
    receipt = erase_users(settings, [GONE], "r1", 30)[GONE]
    assert receipt["was_known"]
    assert receipt["request_id"] == "r1"
    assert worker.user(GONE) is None
    newest = {record.key: record.value for record in read_topic(settings, settings.topics.recommendations)}
    assert newest[GONE.encode()] is None
    assert worker.metric("freshet_erasures_total") == 1

    for topic in compacted:
        compact_at_once(settings, topic)

    def others_go_on() -> None:
        """Let segments be closed: only what lies before the newest one is compacted."""
        for number in range(40):
            shop.send(f"v{number}", "i1", START_MS + 1000)
        shop.flush()

    def is_gone_from_topics() -> bool:
        others_go_on()
        keys = [record.key for topic in compacted for record in read_topic(settings, topic)]
        return not any(GONE.encode() in key for key in keys)

    worker.wait_until(is_gone_from_topics, "compacted by the broker", 90)
    # RocksDB's own log has the first and last keys of the files that there were; it is begun anew later.
    stores = directory / PARTITIONS
    worker.wait_until(
        lambda: all(name.startswith("MANIFEST") for name in holders(stores, GONE)), "compacted", 60
    )
    worker.wait_until(lambda: holders(directory / CHECKPOINTS, GONE) == [], "checkpoints")
    assert worker.stop() == 0


def test_who_was_erased_begins_anew_and_older_records_are_dropped(
    world: tuple[Settings, Shop, WorkerProcess],
    start_worker: Callable[..., WorkerProcess],
) -> None:
    """Also a worker that restores from the changelog alone drops what was recorded before the erasure."""
    settings, shop, worker = world
    receipt = erase_users(settings, [GONE], None, 30)[GONE]
    assert worker.stop() == 0
    other_directory = settings.data_directory + "-other"
    other = start_worker(settings, other_directory)
    other.wait_ready()
    with producer(settings) as late:
        for item, recorded_ms in (("old", receipt["requested_at"] - 1), ("new", receipt["requested_at"] + 1)):
            message = {"user_id": GONE, "item_id": item}
            late.send(
                shop.topics["click"], key=GONE.encode(), value=json.dumps(message).encode(),
                timestamp_ms=recorded_ms,
            )  # fmt: skip
    other.wait_until(lambda: other.metric("freshet_events_total") == 1, "began anew")
    found = other.user(GONE)
    assert found is not None
    assert [each["item_id"] for each in found["sequence"]] == ["new"]
    assert other.metric("freshet_erased_events_total") == 1


def test_the_command_waits_for_the_receipts(
    world: tuple[Settings, Shop, WorkerProcess], settings_file: Callable[[Settings], Path]
) -> None:
    """`freshet erase --json` prints them, and fails with advice where none comes."""
    settings, _, worker = world

    def erase(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "streams", "erase", *words, "--config", str(settings_file(settings))]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    done = erase(GONE, "u1", "--json")
    assert done.returncode == 0, done.stderr
    receipts = json.loads(done.stdout)["receipts"]
    assert {user: receipt["was_known"] for user, receipt in receipts.items()} == {GONE: True, "u1": True}
    assert worker.stop() == 0
    failed = erase("u2", "--wait-seconds", "0.5")
    assert failed.returncode == 1
    assert "no receipt for 'u2'" in failed.stderr
    assert erase("u2", "--wait-seconds", "0").returncode == 0
