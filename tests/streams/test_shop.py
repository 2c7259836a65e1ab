"""The simulated shop: the same seed gives the same stream, and its truth can be learned, in part."""

from collections import Counter, defaultdict
from itertools import islice
from typing import Any

import numpy as np
import pytest

from streams.events import ACTIONS, Interaction, encode_interaction, encode_item
from streams.shop import OPENING_MS, TOPIC_NAMES, Almanac, Shop, Turn, shelf

DAY_MS = 86_400_000


def take(shop: Shop, count: int) -> list[Interaction]:
    """Return the next interactions."""
    return list(islice(shop, count))


@pytest.fixture(scope="module")
def watched() -> tuple[Shop, list[Interaction]]:
    """Give a shop and what happened in it so far."""
    shop = Shop(seed=3, users=300, items=1000)
    return shop, take(shop, 12_000)


def test_the_same_seed_gives_the_same_stream() -> None:
    """Interactions, catalogue and true interests are the same byte for byte; another seed gives others."""

    def stream(seed: int) -> tuple[list[bytes], list[bytes], list[object]]:
        shop = Shop(seed=seed, users=50, items=200, drift=0.2)
        return (
            [encode_interaction(interaction) for interaction in take(shop, 3000)],
            [encode_item(item) for item in shop.catalog()],
            list(shop.new_interests()),
        )

    assert stream(1) == stream(1)
    assert stream(1)[0] != stream(2)[0]


def test_reading_in_pieces_changes_nothing() -> None:
    """A stream read in pieces, with looks at the catalogue between, is the stream read at once."""
    pieces, whole = Shop(users=40, items=100), Shop(users=40, items=100)
    read = []
    for _ in range(10):
        read += take(pieces, 50)
        pieces.catalog()
        pieces.new_listings()
        pieces.true_interest("u3")
    assert read == take(whole, 500)


def test_time_goes_on(watched: tuple[Shop, list[Interaction]]) -> None:
    """Interactions come in the order of time, from the opening on, of known users, with known actions."""
    shop, interactions = watched
    times = [interaction.timestamp_ms for interaction in interactions]
    assert times == sorted(times)
    assert times[0] >= OPENING_MS
    assert {interaction.user_id for interaction in interactions} <= {f"u{n}" for n in range(shop.users)}
    assert {interaction.action for interaction in interactions} == set(ACTIONS)


def test_items_are_born_and_listed_before_they_occur() -> None:
    """Every item is listed once, before its first interaction; those born later are chosen, too."""
    shop = Shop(users=300, items=500)
    listed = [item.item_id for item in shop.new_listings()]
    assert len(listed) == 500
    chosen = set()
    for interaction in islice(shop, 12_000):
        listed += [item.item_id for item in shop.new_listings()]
        chosen.add(interaction.item_id)
        assert int(interaction.item_id[1:]) < len(listed)
    assert listed == [f"i{number}" for number in range(shop.items)]
    assert chosen & set(listed[500:])
    assert [item.item_id for item in shop.catalog()] == listed


def test_there_are_days_and_nights(watched: tuple[Shop, list[Interaction]]) -> None:
    """At the best three hours of the day there is at least three times as much to do as at the worst."""
    hours = Counter(interaction.timestamp_ms % DAY_MS // 3_600_000 for interaction in watched[1])
    counts = sorted(hours[hour] for hour in range(24))
    assert sum(counts[-3:]) > 3 * sum(counts[:3])


def test_there_are_sessions(watched: tuple[Shop, list[Interaction]]) -> None:
    """Most interactions of a user follow the last one within minutes, many others after hours."""
    last: dict[str, int] = {}
    gaps = []
    for interaction in watched[1]:
        if interaction.user_id in last:
            gaps.append(interaction.timestamp_ms - last[interaction.user_id])
        last[interaction.user_id] = interaction.timestamp_ms
    assert np.mean(np.array(gaps) < 5 * 60_000) > 0.6
    assert np.mean(np.array(gaps) > 3_600_000) > 0.05


def _hits(shop: Shop, interactions: list[Interaction]) -> Counter[str]:
    """Count what is among ten guesses made before: the popular, one's last, what follows, own tastes."""
    groups = {item.item_id: (item.categories[0], item.brand) for item in shop.catalog()}
    popular: Counter[str] = Counter()
    best: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    follows: dict[str, Counter[str]] = defaultdict(Counter)
    tastes: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    own: dict[str, list[str]] = defaultdict(list)
    hits: Counter[str] = Counter()
    for interaction in interactions:
        item, mine, taste = interaction.item_id, own[interaction.user_id], tastes[interaction.user_id]
        recent = list(dict.fromkeys(reversed(mine[-20:])))[:10]
        following = [other for other, _ in follows[mine[-1]].most_common(10)] if mine else []
        by_taste = [other for group, _ in taste.most_common(5) for other, _ in best[group].most_common(2)]
        hits["popular"] += item in [other for other, _ in popular.most_common(10)]
        hits["recent"] += item in recent
        hits["following"] += item in following
        hits["taste"] += item in by_taste
        hits["personal"] += item in list(dict.fromkeys([*recent[:3], *following[:3], *by_taste]))[:10]
        popular[item] += 1
        best[groups[item]][item] += 1
        taste[groups[item]] += 1
        if mine:
            follows[mine[-1]][item] += 1
        mine.append(item)
    return hits


def test_who_knows_the_person_beats_popularity(watched: tuple[Shop, list[Interaction]]) -> None:
    """Repeats, what follows and tastes each beat popularity, yet no guess is right every second time."""
    shop, interactions = watched
    hits = _hits(shop, interactions)
    assert 0.02 * len(interactions) < hits["popular"]
    assert hits["recent"] > 1.5 * hits["popular"]
    assert hits["following"] > hits["popular"]
    assert hits["taste"] > 1.5 * hits["popular"]
    assert 3 * hits["popular"] < hits["personal"] < 0.5 * len(interactions)


def _restlessness() -> float:
    """Return how much items' shares of six hours differ, against chance: 1 if popularity stands still.

    A user counts once for an item and six hours, so that repeats do not look like popularity.
    """
    windows: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for interaction in islice(Shop(seed=1, users=500, items=1000, drift=0.0), 30_000):
        windows[interaction.timestamp_ms // (DAY_MS // 4)].add((interaction.user_id, interaction.item_id))
    counts = [Counter(item for _, item in window) for window in windows.values()]
    total: Counter[str] = sum(counts, Counter())
    shares = [count.total() / total.total() for count in counts]
    usual = [item for item, count in total.items() if count >= 30]
    expected = np.array([[total[item] * share for item in usual] for share in shares])  # (windows, items)
    found = np.array([[count[item] for item in usual] for count in counts])  # (windows, items)
    return float(np.mean((found - expected) ** 2 / expected))


def test_popularity_comes_in_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is popular changes from hour to hour, and that is due to the waves alone."""
    assert _restlessness() > 1.4
    monkeypatch.setattr(shelf, "WAVES_PER_ITEM_AND_HOUR", 0.0)
    monkeypatch.setattr(shelf, "BIRTHS_PER_ITEM_AND_DAY", 0.0)
    assert _restlessness() < 1.1


def test_true_interests_are_what_users_do() -> None:
    """Without drift, a user's topics are those of the true interest; the truth is told once for each."""
    shop = Shop(seed=4, users=20, items=2000, drift=0.0)
    interactions = take(shop, 8000)
    topics = {item.item_id: TOPIC_NAMES.index(item.categories[0]) for item in shop.catalog()}
    seen = np.zeros((20, len(TOPIC_NAMES)))
    for interaction in interactions:
        seen[int(interaction.user_id[1:]), topics[interaction.item_id]] += 1
    truth = np.array([shop.true_interest(f"u{user}") for user in range(20)])
    assert truth.sum(axis=1) == pytest.approx(np.ones(20))
    active = seen.sum(axis=1) > 200
    assert np.mean(seen[active].argmax(axis=1) == truth[active].argmax(axis=1)) > 0.7
    told = shop.new_interests()
    assert len(told) == len({change.user_id for change in told}) == len({i.user_id for i in interactions})
    assert told[0].interests[TOPIC_NAMES[0]] == pytest.approx(
        shop.true_interest(told[0].user_id)[0], abs=1e-6
    )


def test_interests_drift() -> None:
    """With drift the true interests of a user change while the shop runs, and each change is told once."""
    shop = Shop(users=20, items=200, drift=0.5)
    take(shop, 100)
    before = [shop.true_interest(f"u{user}") for user in range(20)]
    first = len(shop.new_interests())
    take(shop, 3000)
    assert sum((shop.true_interest(f"u{user}") != before[user]).any() for user in range(20)) > 10
    assert first + len(shop.new_interests()) > 40
    assert shop.new_interests() == []


HOUR_MS = 3_600_000


def interests_of(shop: Shop) -> list[set[int]]:
    """Return the topics that every user is into now."""
    likes = [shop.true_interest(f"u{user}") for user in range(shop.users)]
    return [set(np.argsort(-each)[:3].tolist()) for each in likes]


def test_seasons_come_back_with_their_interests() -> None:
    """Each season has its own topics and begins on time; when it comes back, so do old interests."""
    almanac = Almanac(seasons=3, season_hours=24)
    shop = Shop(seed=5, users=60, items=300, drift=0.0, almanac=almanac)
    by_season = []
    for number in range(5):
        while len(shop.turns) < number + 1:
            take(shop, 1)
        by_season.append(interests_of(shop))
        allowed = set(almanac.topics((number + 1) % 3))
        assert all(each <= allowed for each in by_season[-1])
    assert shop.turns == [Turn(OPENING_MS + k * 24 * HOUR_MS, k % 3) for k in range(1, 6)]
    assert by_season[3] == by_season[0]
    assert by_season[4] == by_season[1]
    topics = [set(almanac.topics(season)) for season in range(3)]
    assert set.union(*topics) == set(range(len(TOPIC_NAMES)))
    assert sum(map(len, topics)) == len(TOPIC_NAMES)


def test_an_upheaval_replaces_everything_at_its_hour() -> None:
    """From its hour on interests and popularity are not those of before, and each change is told."""
    shop = Shop(seed=6, users=200, items=500, drift=0.0, almanac=Almanac(upheaval_hours=(48.0,)))
    counts: list[Counter[str]] = [Counter(), Counter()]
    before = interests_of(shop)
    while len(counts[1]) == 0 or counts[1].total() < counts[0].total():
        interaction = take(shop, 1)[0]
        assert bool(shop.turns) == (interaction.timestamp_ms >= OPENING_MS + 48 * HOUR_MS)
        counts[bool(shop.turns)][interaction.item_id] += 1
    assert shop.turns == [Turn(OPENING_MS + 48 * HOUR_MS)]
    assert sum(one == other for one, other in zip(before, interests_of(shop), strict=True)) < 20
    favourites = [{item for item, _ in count.most_common(20)} for count in counts]
    assert len(favourites[0] & favourites[1]) < 10
    told = Counter(change.user_id for change in shop.new_interests())
    assert set(told.values()) == {1, 2}


@pytest.mark.parametrize(
    "wrong", [{"seasons": 0}, {"seasons": 7}, {"season_hours": 0.0}, {"upheaval_hours": (-1.0,)}]
)
def test_an_almanac_without_sense_is_refused(wrong: dict[str, Any]) -> None:
    """No seasons, more than there are topics for, or times before the opening raise ValueError."""
    with pytest.raises(ValueError, match=r"an almanac has|upheavals come"):
        Almanac(**wrong)


@pytest.mark.parametrize("user_id", ["12", "u", "u20", "u-1", "u01", "i3", ""])
def test_nobody_else_has_interests(user_id: str) -> None:
    """A user that the shop does not have raises KeyError."""
    with pytest.raises(KeyError):
        Shop(users=20, items=20).true_interest(user_id)


@pytest.mark.parametrize(
    "wrong", [{"users": 0}, {"items": 0}, {"drift": -0.1}, {"drift": 1.5}, {"drift": float("nan")}]
)
def test_a_shop_without_sense_is_refused(wrong: dict[str, float]) -> None:
    """No users, no items, or a drift that is no probability raises ValueError."""
    with pytest.raises(ValueError, match="a shop needs"):
        Shop(**wrong)  # type: ignore[arg-type]


def test_the_smallest_shop_runs() -> None:
    """One user and one item are enough for a stream."""
    assert {interaction.item_id for interaction in take(Shop(users=1, items=1), 50)} >= {"i0"}
