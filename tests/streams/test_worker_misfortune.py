"""What can happen to a worker on a real Kafka besides its own death: it neither blocks nor guesses."""

import time
from collections.abc import Callable
from typing import Any

from streams.broker import OwnedBroker
from streams.connection import admin, producer
from streams.settings import Settings
from streams.topics import create_topics
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """Its first events would be skipped as known: the partition stops, and says what to do."""
    settings = settings_for()
    shop = open_shop(settings)
    first = start_worker(settings)
    first.wait_ready()
    shop.send("u", "old", START_MS)
    shop.flush()
    first.wait_until(lambda: first.has_applied(shop), "applied")
    assert first.stop() == 0
    clicks = shop.topics["click"]
    with admin(settings) as client:
        client.delete_topics([clicks])
        while any(not topic["error_code"] for topic in client.describe_topics([clicks])):
            time.sleep(0.1)
    create_topics(settings)
    for event in range(5):
        shop.send("u", f"new {event}", START_MS + event)
    shop.flush()
    second = start_worker(settings)
    second.wait_until(lambda: "made anew" in second.get("/ready")[1], "said so")
    assert second.get("/ready")[0] == 503
    assert second.metric("freshet_duplicates_skipped_total") == 0
    assert second.stop() == 0


def test_a_record_that_no_topic_takes_whole_does_not_block(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    read_topic: Callable[[Settings, str], list[Any]],
) -> None:
    """A record that came compressed is larger than the dead letters take: it is cut, and the others flow."""
    settings = settings_for()
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    size = 20 * 2**20
    with producer(settings, compression_type="gzip", max_request_size=2 * size) as squeezed:
        squeezed.send(shop.topics["click"], key=b"u", value=b" " * size)
        squeezed.flush()
    shop.send("u", "i", START_MS)
    shop.flush()
    worker.wait_until(lambda: worker.metric("freshet_dead_letters_total") == 1, "refused")
    worker.wait_until(lambda: worker.has_applied(shop), "applied")
    (letter,) = read_topic(settings, settings.topics.dead_letters)
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers["reason"] == "size"
    assert headers["cut-from-bytes"] == str(size + 1)
    assert letter.key == b"u"
    assert 2**20 < len(letter.value) < size


def test_a_worker_ends_when_told_to_without_a_broker(
    start_broker: Callable[[], OwnedBroker],
    unshared_settings: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """While no broker answers the worker is not ready, and SIGTERM still ends it, in time, with 0."""
    broker = start_broker()
    settings = unshared_settings(broker.bootstrap_servers)
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    shop.send("u", "i", START_MS)
    shop.flush()
    shop.close()  # kafka-python leaves sockets open when its broker goes away
    worker.wait_until(lambda: worker.has_applied(shop), "applied")
    broker.kill()
    worker.wait_until(lambda: "no broker has answered" in worker.get("/ready")[1], "not ready")
    assert worker.stop() == 0
    assert "leaving at once" in worker.log.read_text(encoding="utf-8")
    assert worker.get("/live") == (0, "")
