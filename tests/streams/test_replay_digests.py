"""One log, read more than once: what is remembered and what is counted is the same, down to the last byte."""

import random
from collections.abc import Callable

import msgspec

from streams.events import RecommendationList, decode_list
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess, expel

START_MS = 1_700_000_000_000

SettingsFor = Callable[..., Settings]
StartWorker = Callable[..., WorkerProcess]
OpenShop = Callable[[Settings], Shop]
ReadTopic = Callable[[Settings, str], list[object]]


def another_group(settings: Settings, group: str, directory: str) -> Settings:
    """Return the settings of another group that reads the same sources."""
    topics = msgspec.structs.replace(
        settings.topics, recommendations=f"{group}-recommendations", dead_letters=f"{group}-dead-letters"
    )
    return msgspec.structs.replace(settings, group=group, topics=topics, data_directory=directory)


def stream(shop: Shop, events: int, seed: int) -> None:
    """Send clicks and purchases, late and bad ones among them.

    Each user comes through one topic: how two topics interleave depends on when they arrive.
    """
    rng = random.Random(seed)
    for event in range(shop.count, shop.count + events):
        buys, item = rng.random() < 0.3, f"i{int(rng.paretovariate(0.7)) % 80}"
        user = f"p{rng.randrange(10)}" if buys else f"c{rng.randrange(25)}"
        late_ms = 90_000 if rng.random() < 0.05 else 0
        shop.send(user, item, START_MS + 1000 * event - late_ms, "purchase" if buys else "click")
        if rng.random() < 0.02:
            shop.send_bytes(user.encode(), b"no event", shop.topics["purchase" if buys else "click"])
    shop.flush()


def digests(worker: WorkerProcess) -> dict[str, str]:
    """Return the digests that a worker tells; empty while it does not answer."""
    return dict(worker.describe().get("digests", {}))


def test_a_replay_with_kills_ends_with_the_same_users_and_counters(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop
) -> None:
    """Of two groups over one log, one undisturbed and one killed in between, both digests are equal."""
    settings = settings_for(checkpoint_seconds=1, history_length=20, exclude="purchased")
    killed = another_group(settings, f"{settings.group}-killed", f"{settings.data_directory}-killed")
    shop = open_shop(settings)
    stream(shop, 5000, 21)
    undisturbed, worker = start_worker(settings), start_worker(killed)
    for _ in range(2):
        worker.wait_until(lambda w=worker: w.metric("freshet_events_total") > 300, "under way")
        worker.kill()
        expel(killed)
        worker = start_worker(killed)
    for each in (undisturbed, worker):
        each.wait_until(lambda w=each: w.has_applied(shop), "everything applied", 120)
    worker.wait_until(
        lambda: digests(worker)["counters"] == digests(undisturbed)["counters"], "the same counters"
    )
    assert digests(worker)["users"] == digests(undisturbed)["users"]


def test_two_undisturbed_replays_end_with_the_same_weights_and_lists(
    settings_for: SettingsFor, start_worker: StartWorker, open_shop: OpenShop, read_topic: ReadTopic
) -> None:
    """One topic of one partition: weights are equal to the last bit, and lists where transactions end alike.

    Where they end depends on the machine, but all end where the stream pauses.
    """
    base = settings_for(effort="full", checkpoint_seconds=1)
    topics = msgspec.structs.replace(base.topics, partitions=1)
    clicks = next(iter(base.sources.items()))
    settings = msgspec.structs.replace(base, topics=topics, sources=dict([clicks]))
    again = another_group(settings, f"{settings.group}-again", f"{settings.data_directory}-again")
    shop = open_shop(msgspec.structs.replace(base, topics=topics))
    rng = random.Random(22)
    runs = [(each, start_worker(each)) for each in (settings, again)]
    ends = []
    for burst in (1500, *[40] * 10):
        for event in range(shop.count, shop.count + burst):
            user, item = f"c{rng.randrange(25)}", f"i{int(rng.paretovariate(0.7)) % 80}"
            shop.send(user, item, START_MS + 1000 * event)
        shop.flush()
        ends.append(shop.count - 1)
        for _, worker in runs:
            worker.wait_until(lambda w=worker: w.lag() == 0 and w.has_applied(shop), "everything applied")
    first, second = (digests(worker) for _, worker in runs)
    assert first == second
    steps = {worker.describe()["model_version"].split(":")[1] for _, worker in runs}
    assert len(steps) == 1
    assert int(steps.pop()) > 50
    lists = [lists_at(each, read_topic, ends) for each, _ in runs]
    assert len(lists[0]) == len(ends)
    assert lists[0] == lists[1]


def lists_at(settings: Settings, read_topic: ReadTopic, ends: list[int]) -> dict[int, object]:
    """Return the lists that reflect these offsets: offset -> user, time and ranked items."""
    (topic,) = settings.sources
    found: dict[int, object] = {}
    for record in read_topic(settings, settings.topics.recommendations):
        made: RecommendationList = decode_list(record.value)  # type: ignore[attr-defined]
        offset = made.positions[topic][1]
        if offset in ends:
            found[offset] = (made.user_id, made.event_time, made.items)
    return found
