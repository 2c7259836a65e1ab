"""A broker that goes away comes back into a worker that goes on by itself."""

import random
from collections.abc import Callable

from streams.broker import OwnedBroker
from streams.events import RecommendationList
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000


def test_a_broker_that_goes_away_and_comes_back(
    start_broker: Callable[[], OwnedBroker],
    unshared_settings: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    newest_lists: Callable[[Settings], dict[str, RecommendationList]],
) -> None:
    """The worker goes on by itself after a broker that was killed in mid-backlog: nothing lost or twice."""
    broker = start_broker()
    settings = unshared_settings(broker.bootstrap_servers)
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    rng = random.Random(9)
    for event in range(4000):
        shop.send(f"u{rng.randrange(50)}", f"i{rng.randrange(60)}", START_MS + event)
    shop.flush()
    shop.close()  # kafka-python leaves sockets open when its broker goes away
    worker.wait_until(lambda: worker.metric("freshet_events_total") > 200, "under way")
    broker.kill()
    broker.start()
    worker.wait_until(lambda: worker.has_applied(shop), "caught up", seconds=90)
    for user_id in shop.sent:
        found = worker.user(user_id)
        assert found is not None
        assert [event["item_id"] for event in found["sequence"]] == shop.sequence(user_id)
    assert newest_lists(settings).keys() == shop.sent.keys()
    assert worker.metric("freshet_events_total") == shop.count
    assert worker.stop() == 0
