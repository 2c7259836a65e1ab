"""What is learned survives kills, is shared by all workers, and can be moved."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.connection import admin, producer
from streams.events import ItemListed, RecommendationList, encode_item
from streams.learned import digests
from streams.recommender import Recommender
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess, expel

START_MS = 1_700_000_000_000

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
OpenShop = Callable[[Settings], Shop]
NewestLists = Callable[[Settings], dict[str, RecommendationList]]


def stream(shop: Shop, events: int, seed: int) -> None:
    """Send a random stream of clicks and purchases, in time order."""
    rng = random.Random(seed)
    first = shop.count
    for event in range(first, first + events):
        user, item = f"u{rng.randrange(40)}", f"i{int(rng.paretovariate(0.7)) % 80}"
        shop.send(user, item, START_MS + 1000 * event, "purchase" if rng.random() < 0.2 else "click")
    shop.flush()


def true_counters(shop: Shop) -> str:
    """Return the digest of counters that have counted every event that was sent, once."""
    recommender = Recommender(shop.settings)
    for events in shop.sent.values():
        for _, _, _, item in events:
            recommender.counts.correct(recommender.catalog.admit(item), 1)
    return digests(recommender)["counters"]


def counters(worker: WorkerProcess) -> str:
    """Return the digest of a worker's counters."""
    return str(worker.describe().get("digests", {}).get("counters"))


def freshet(settings_file: Callable[[Settings], Path], settings: Settings, *words: str) -> tuple[int, str]:
    """Run a command with these settings; return its exit code and what it said."""
    command = [sys.executable, "-m", "streams", *words, "--config", str(settings_file(settings))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_counters_survive_kills(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """After kill -9 in mid-stream the counters are those of an undisturbed run."""
    settings = settings_for(checkpoint_seconds=1)
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    for seed in (1, 2):
        stream(shop, 2500, seed)
        target = worker.metric("freshet_events_total") + 500
        worker.wait_until(lambda at=target, w=worker: w.metric("freshet_events_total") > at, "under way")
        worker.wait_until(
            lambda w=worker: w.metric("freshet_checkpoint_bytes") > 0, "a checkpoint was written"
        )
        worker.kill()
        expel(settings)
        worker = start_worker(settings)
        worker.wait_ready()
        assert int(worker.describe()["model_version"].split(":")[1]) > 0
    worker.wait_until(lambda: worker.has_applied(shop), "caught up")
    assert counters(worker) == true_counters(shop)
    steps = int(worker.describe()["model_version"].split(":")[1])
    skipped = worker.metric("freshet_skipped_learning_total")
    assert 16 * steps <= shop.count
    assert skipped < shop.count
    assert worker.stop() == 0


def test_all_workers_count_everything(
    settings_for: SettingsFor,
    start_worker: StartWorker,
    open_shop: OpenShop,
    tmp_path: Path,
    settings_file: Callable[[Settings], Path],
) -> None:
    """Workers that share, die and join all end with the same counters, each event counted once."""
    settings = settings_for(checkpoint_seconds=1)
    shop = open_shop(settings)
    workers = [start_worker(settings, data_directory=str(tmp_path / f"data-{n}")) for n in (1, 2)]
    for worker in workers:
        worker.wait_ready()
    stream(shop, 3000, 3)
    workers[0].wait_until(
        lambda: sum(worker.metric("freshet_events_total") for worker in workers) > 800, "under way"
    )
    workers[1].kill()
    late = start_worker(settings, data_directory=str(tmp_path / "data-3"))
    late.wait_ready()
    stream(shop, 500, 4)
    expected = true_counters(shop)
    for worker in (workers[0], late):
        worker.wait_until(lambda w=worker: counters(w) == expected, "everything counted", 90)
    code, said = freshet(
        settings_file, late.settings, "checkpoint", "export", str(tmp_path / "learned"), "--json"
    )
    assert code == 0, said
    fourth = msgspec.structs.replace(settings, data_directory=str(tmp_path / "data-4"))
    code, said = freshet(settings_file, fourth, "checkpoint", "import", str(tmp_path / "learned"), "--json")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["bytes"] > 1000
    joined = start_worker(fourth)
    joined.wait_ready()
    joined.wait_until(lambda: counters(joined) == expected, "what was imported and what came after")
    assert joined.metric("freshet_examples_counted_total") < shop.count


def test_lists_go_on_when_partitions_move(
    settings_for: SettingsFor,
    start_worker: StartWorker,
    open_shop: OpenShop,
    newest_lists: NewestLists,
    tmp_path: Path,
) -> None:
    """Three workers share twelve partitions; when one leaves, the others answer its users within 20 s."""
    settings = settings_for()
    twelve = msgspec.structs.replace(settings.topics, partitions=12)
    settings = msgspec.structs.replace(settings, topics=twelve)
    shop = open_shop(settings)
    workers = [start_worker(settings, data_directory=str(tmp_path / f"data-{n}")) for n in range(3)]
    for worker in workers:
        worker.wait_ready()
    workers[0].wait_until(lambda: all(len(worker.partitions()) == 4 for worker in workers), "shared")
    stream(shop, 1500, 12)
    expected = true_counters(shop)
    for worker in workers:
        worker.wait_until(lambda w=worker: counters(w) == expected, "everything counted", 90)
    moving = {user for user in shop.sent if workers[2].user(user) is not None}
    assert moving
    assert workers[2].stop() == 0
    stayed = workers[:2]
    stayed[0].wait_until(
        lambda: (
            sum(len(worker.partitions()) for worker in stayed) == 12
            and all(worker.get("/ready")[0] == 200 for worker in stayed)
        ),
        "the partitions moved",
        seconds=20,
    )
    for user in moving:
        shop.send(user, shop.sequence(user)[-1], START_MS + 10_000_000)
    shop.flush()
    expected = true_counters(shop)
    for worker in stayed:
        worker.wait_until(lambda w=worker: counters(w) == expected, "everything counted")
    stayed[0].wait_until(lambda: sum(worker.lag() for worker in stayed) == 0, "caught up")
    after = newest_lists(settings)
    for user in moving:
        assert after[user].event_time == START_MS + 10_000_000
        assert len(after[user].items) == settings.list_length
        answers = [found for worker in stayed if (found := worker.user(user)) is not None]
        assert len(answers) == 1
        assert [event["item_id"] for event in answers[0]["sequence"]] == shop.sequence(user)


def test_a_takeover_with_the_same_weights_gives_the_same_lists(
    settings_for: SettingsFor,
    start_worker: StartWorker,
    open_shop: OpenShop,
    newest_lists: NewestLists,
    tmp_path: Path,
    settings_file: Callable[[Settings], Path],
) -> None:
    """A worker that takes over what another knew recommends what that one did: seven of ten."""
    settings = settings_for()
    shop = open_shop(settings)

    def again(worker: WorkerProcess, time_ms: int) -> dict[str, list[str]]:
        """Let every user do the last thing once more; return their lists."""
        for user in list(shop.sent):
            shop.send(user, shop.sequence(user)[-1], time_ms)
        shop.flush()
        worker.wait_until(
            lambda: worker.has_applied(shop) and counters(worker) == true_counters(shop), "done"
        )
        return {user: [item.item_id for item in made.items] for user, made in newest_lists(settings).items()}

    first = start_worker(settings)
    first.wait_ready()
    stream(shop, 900, 13)
    before = again(first, START_MS + 10_000_000)
    assert first.stop() == 0
    code, said = freshet(settings_file, settings, "checkpoint", "export", str(tmp_path / "learned"))
    assert code == 0, said
    other = msgspec.structs.replace(settings, data_directory=str(tmp_path / "other"))
    code, said = freshet(settings_file, other, "checkpoint", "import", str(tmp_path / "learned"))
    assert code == 0, said
    second = start_worker(other)
    second.wait_ready()
    after = again(second, START_MS + 20_000_000)
    assert after.keys() == before.keys()
    kept = sum(len(set(before[user]) & set(after[user])) for user in before)
    assert kept >= 7 * len(before)


def test_titles_and_removed_items(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, newest_lists: NewestLists
) -> None:
    """Lists have the catalogue's titles, and a removed item is in no list made after it was removed."""
    settings = settings_for()
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    stream(shop, 300, 5)
    with producer(settings) as kafka:
        for number in range(80):
            listed = ItemListed(item_id=f"i{number}", title=f"Thing {number}")
            kafka.send(settings.topics.items, key=listed.item_id.encode(), value=encode_item(listed))
        kafka.send(settings.topics.items, key=b"i2", value=None)
        kafka.send(settings.topics.items, key=b"i3", value=b"no item")
    worker.wait_until(lambda: worker.metric("freshet_items_refused_total") == 1, "the catalogue is read")
    worker.wait_until(lambda: worker.has_applied(shop), "caught up")
    stream(shop, 300, 6)
    worker.wait_until(lambda: worker.has_applied(shop), "caught up")
    lists = newest_lists(settings)
    for entry in lists.values():
        assert "i2" not in [item.item_id for item in entry.items]
        assert all(item.title == f"Thing {item.item_id[1:]}" for item in entry.items)


def test_an_unreadable_example_is_passed_over(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """Junk in the examples log is counted and stops nothing."""
    settings = settings_for()
    shop = open_shop(settings)
    with producer(settings) as kafka:
        for junk in (b"junk", b"FXE\x09" + bytes(20), b"FXE\x01" + bytes(20)):
            kafka.send(settings.examples_topic, value=junk, partition=1)
    worker = start_worker(settings)
    worker.wait_ready()
    assert worker.metric("freshet_examples_missed_total") == 3
    stream(shop, 200, 7)
    worker.wait_until(lambda: worker.has_applied(shop), "caught up")
    assert counters(worker) == true_counters(shop)


def test_examples_that_are_gone_and_foreign_checkpoints(
    settings_for: SettingsFor,
    start_worker: StartWorker,
    open_shop: OpenShop,
    settings_file: Callable[[Settings], Path],
    tmp_path: Path,
) -> None:
    """A log that begins after the checkpoint, and a checkpoint of another group, are refused in one line."""
    from kafka import TopicPartition

    settings = settings_for()
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    stream(shop, 200, 8)
    worker.wait_until(lambda: worker.has_applied(shop), "caught up")
    assert worker.stop() == 0
    code, said = freshet(settings_file, settings, "checkpoint", "export", str(tmp_path / "learned"))
    assert code == 0, said
    other = settings_for()
    open_shop(other)
    code, said = freshet(settings_file, other, "checkpoint", "import", str(tmp_path / "learned"))
    assert code == 2
    assert settings.group in said
    elsewhere = start_worker(settings, data_directory=str(tmp_path / "elsewhere"))
    elsewhere.wait_ready()
    stream(shop, 200, 9)
    elsewhere.wait_until(lambda: elsewhere.has_applied(shop), "caught up")
    assert elsewhere.stop() == 0
    with admin(settings) as client:
        client.delete_records({TopicPartition(settings.examples_topic, p): -1 for p in range(4)})
    code, said = freshet(settings_file, settings, "worker")
    assert code == 2, said
    assert "freshet checkpoint import" in said
    code, said = freshet(settings_file, settings, "reset")
    assert code == 0, said
    anew = start_worker(settings)
    anew.wait_ready()
    assert anew.metric("freshet_events_total") == 0
    assert all(anew.user(user_id) is not None for user_id in shop.sent)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_checkpoint_gives_way(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, damage: str
) -> None:
    """A cut or altered checkpoint is passed over with a warning, and the counters are whole all the same."""
    settings = settings_for()
    shop = open_shop(settings)
    for seed in (10, 11):
        worker = start_worker(settings)
        worker.wait_ready()
        stream(shop, 150, seed)
        worker.wait_until(lambda w=worker: w.has_applied(shop), "caught up")
        assert worker.stop() == 0
    files: list[Any] = sorted((Path(settings.data_directory) / "checkpoints").iterdir())
    data = files[-1].read_bytes()
    files[-1].write_bytes(data[: len(data) // 2] if damage == "cut" else data[:-9] + b"\x55" + data[-8:])
    worker = start_worker(settings)
    worker.wait_ready()
    assert files[-1].name in worker.log.read_text(encoding="utf-8")
    assert counters(worker) == true_counters(shop)
