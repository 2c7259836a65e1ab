"""A source that was deleted and made anew, on purpose: `freshet reset --sources` goes on with it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from streams.connection import admin
from streams.examples import ANEW, Examples
from streams.learned import digests
from streams.recommender import Recommender
from streams.settings import Settings
from streams.topics import create_topics
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
OpenShop = Callable[[Settings], Shop]


def send(shop: Shop, events: int) -> None:
    """Send the next clicks of some users."""
    for event in range(shop.count, shop.count + events):
        shop.send(f"u{event % 7}", f"i{event % 11}", START_MS + 1000 * event)
    shop.flush()


def make_anew(settings: Settings, topic: str) -> None:
    """Delete a topic, and create it again."""
    with admin(settings) as client:
        client.delete_topics([topic])
        while any(not each["error_code"] for each in client.describe_topics([topic])):
            time.sleep(0.1)
    create_topics(settings)


def true_counters(shop: Shop) -> str:
    """Return the digest of counters that have counted every event that was sent, once."""
    recommender = Recommender(shop.settings)
    for events in shop.sent.values():
        for _, _, _, item in events:
            recommender.counts.correct(recommender.catalog.admit(item), 1)
    return digests(recommender)["counters"]


def is_level(worker: WorkerProcess, shop: Shop) -> bool:
    """Whether users and counters have every event once."""
    counters = worker.describe().get("digests", {}).get("counters")
    return worker.has_applied(shop) and counters == true_counters(shop)


def reset(settings_file: Callable[[Settings], Path], settings: Settings) -> tuple[int, str]:
    """Run the command; return its exit code, and the last line of what it said."""
    command = [sys.executable, "-m", "streams", "reset", "--sources", "--json"]
    command += ["--config", str(settings_file(settings))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).splitlines()[-1]


def test_users_and_counters_go_on_with_a_topic_that_was_made_anew(
    settings_for: SettingsFor,
    start_worker: StartWorker,
    open_shop: OpenShop,
    settings_file: Callable[[Settings], Path],
    tmp_path: Path,
) -> None:
    """Every event of the old log and of the new one is applied and counted once, whoever works."""
    settings = settings_for()
    shop = open_shop(settings)
    clicks = shop.topics["click"]
    elsewhere = msgspec.structs.replace(settings, data_directory=str(tmp_path / "elsewhere"))
    for each in (elsewhere, settings):  # both have counted something of the old log
        worker = start_worker(each)
        worker.wait_ready()
        send(shop, 150)
        worker.wait_until(lambda w=worker: is_level(w, shop), "the old log is applied")
        assert worker.stop() == 0
    make_anew(settings, clicks)
    send(shop, 40)
    stopped = start_worker(settings)
    stopped.wait_until(lambda: "freshet reset --sources" in stopped.get("/ready")[1], "it says what to do")
    code, said = reset(settings_file, elsewhere)
    assert (code, "stop them all" in said) == (2, True), said
    assert stopped.stop() == 0

    code, said = reset(settings_file, settings)
    assert code == 0, said
    assert json.loads(said)["renewed"].keys() == {clicks}
    for each in (settings, elsewhere):
        worker = start_worker(each)
        worker.wait_until(lambda w=worker: is_level(w, shop), "the new log is applied")
        assert worker.metric("freshet_lost_to_retention_total") == 0
        send(shop, 20)
        worker.wait_until(lambda w=worker: is_level(w, shop), "and goes on")
        assert worker.stop() == 0
    code, said = reset(settings_file, settings)
    assert (code, json.loads(said)["renewed"]) == (0, {})


def test_what_is_counted_of_a_log_that_was_made_anew() -> None:
    """Below the old mark nothing would be counted: the word that a log begins anew takes the mark there."""
    recommender = Recommender(Settings(device="cpu"))
    recommender.teaching.marks = {("clicks", 0): 500, ("clicks", 1): 7}
    recommender.count_examples(Examples("", 0, spans={"clicks": (ANEW, 3)}))
    assert recommender.marks == {("clicks", 0): 3, ("clicks", 1): 7}
    recommender.count_examples(Examples("other", 0, spans={"clicks": (3, 9)}))
    recommender.count_examples(Examples("other", 0, spans={"clicks": (5, 5)}))
    assert recommender.marks == {("clicks", 0): 9, ("clicks", 1): 7}
