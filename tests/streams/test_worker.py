"""The worker on a real Kafka: events in, lists out, and nothing lost on the way."""

import random
from collections.abc import Callable

from streams.events import RecommendationList
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess, expel

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
OpenShop = Callable[[Settings], Shop]
NewestLists = Callable[[Settings], dict[str, RecommendationList]]

START_MS = 1_700_000_000_000


def stream(shop: Shop, users: int, events: int, seed: int) -> None:
    """Send a random stream of clicks and purchases, in time order."""
    rng = random.Random(seed)
    first = shop.count
    for event in range(first, first + events):
        user, item = f"u{rng.randrange(users)}", f"i{int(rng.paretovariate(0.7)) % 50}"
        shop.send(user, item, START_MS + 1000 * event, "purchase" if rng.random() < 0.2 else "click")
    shop.flush()


def applied(worker: WorkerProcess, shop: Shop) -> bool:
    """Whether the worker has applied everything that was sent."""
    return worker.metric("freshet_events_total") >= shop.count


def check_everything(worker: WorkerProcess, shop: Shop, lists: dict[str, RecommendationList]) -> None:
    """Compare every user's sequence with the oracle's, and every list's positions with the user's."""
    for user_id in shop.sent:
        found = worker.user(user_id)
        assert found is not None, user_id
        assert [event["item_id"] for event in found["sequence"]] == shop.sequence(user_id)
        assert lists[user_id].positions == {t: tuple(p) for t, p in found["positions"].items()}
    assert lists.keys() == shop.sent.keys()


def test_events_become_lists(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, newest_lists: NewestLists
) -> None:
    """Every event of both topics is applied in order, and each newest list is at its user's newest event."""
    settings = settings_for()
    source = open_shop(settings)
    worker = start_worker(settings, as_command=True)
    worker.wait_ready()
    stream(source, users=40, events=1500, seed=1)
    worker.wait_until(lambda: applied(worker, source), "everything applied")
    lists = newest_lists(settings)
    check_everything(worker, source, lists)
    assert all(entry.items for entry in lists.values())
    assert worker.metric("freshet_events_total") == source.count
    assert worker.stop() == 0


def test_sigterm_stops_cleanly_and_a_restart_goes_on(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, newest_lists: NewestLists
) -> None:
    """A worker stopped in the middle of a stream exits 0, and the next one goes on: nothing lost or twice."""
    settings = settings_for()
    source = open_shop(settings)
    first = start_worker(settings)
    first.wait_ready()
    stream(source, users=30, events=3000, seed=2)
    first.wait_until(lambda: first.metric("freshet_events_total") > 300, "under way")
    assert first.stop() == 0
    second = start_worker(settings)
    second.wait_ready()
    stream(source, users=30, events=200, seed=3)
    second.wait_until(lambda: second.has_applied(source), "caught up")
    check_everything(second, source, newest_lists(settings))


def test_sigkill_loses_nothing(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, newest_lists: NewestLists
) -> None:
    """A worker killed in the middle of a stream, and one that lost its disk, lose and double nothing."""
    settings = settings_for()
    source = open_shop(settings)
    first = start_worker(settings)
    first.wait_ready()
    stream(source, users=30, events=3000, seed=4)
    first.wait_until(lambda: first.metric("freshet_events_total") > 300, "under way")
    first.kill()
    second = start_worker(settings)
    second.wait_until(lambda: second.metric("freshet_events_total") > 300, "under way again")
    second.kill()
    expel(settings)  # of the first one the group learns by its silence
    third = start_worker(settings, data_directory=f"{settings.data_directory}-new")
    third.wait_until(lambda: third.has_applied(source), "caught up")
    check_everything(third, source, newest_lists(settings))


def test_two_workers_share_the_partitions(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, newest_lists: NewestLists
) -> None:
    """Two workers own different partitions, both answer, and together they apply every event once."""
    settings = settings_for()
    source = open_shop(settings)
    workers = [start_worker(settings, data_directory=f"{settings.data_directory}-{n}") for n in (1, 2)]
    for worker in workers:
        worker.wait_ready()
    workers[0].wait_until(
        lambda: all(0 < len(worker.partitions()) < 4 for worker in workers), "both have partitions"
    )
    stream(source, users=40, events=1500, seed=5)
    workers[0].wait_until(
        lambda: sum(worker.metric("freshet_events_total") for worker in workers) >= source.count, "applied"
    )
    assert sum(worker.metric("freshet_events_total") for worker in workers) == source.count
    assert not workers[0].partitions() & workers[1].partitions()
    lists = newest_lists(settings)
    assert lists.keys() == source.sent.keys()
    for user_id in source.sent:
        answers = [found for worker in workers if (found := worker.user(user_id)) is not None]
        assert len(answers) == 1
        assert [event["item_id"] for event in answers[0]["sequence"]] == source.sequence(user_id)
