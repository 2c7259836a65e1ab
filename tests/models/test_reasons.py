"""Reasons are true: without their cause, the item's score falls, and the reason is not told."""

import numpy as np
import pytest

from models.actions import CART, CLICK, FAVORITE, PURCHASE
from models.catalog import Catalog
from models.columns import FEATURES
from models.counts import Counts
from models.history import History
from models.ranking import FeatureArray, Ranker, Scored
from models.reasons import COMES_BACK, DONE, POPULAR, RECENT, RISING
from tests.models.histories import NOW_MS, history

DAY_MS = 86_400_000
WEIGHTS = {
    **dict.fromkeys(("co-occurrence", "transition", "followed", "own recency", "popularity 300"), 3.0),
    **dict.fromkeys(("own carted", "own favored", "own bought", "transition after such an action"), 3.0),
    **dict.fromkeys(("own count", "own lasting count", "own elapsed", "popularity", "popularity 30"), 1.0),
}


def by_weight(features: FeatureArray, context: FeatureArray) -> FeatureArray:
    """Score by a few columns; the second stage of these tests."""
    weights = np.array([WEIGHTS.get(feature.name, 0.0) for feature in FEATURES], np.float32)
    return (features * weights).sum(axis=1)


def shop() -> tuple[Catalog, Counts, Ranker]:
    """Return a shop in which 41 comes after 40, 2 is popular, and nothing else goes with anything."""
    catalog = Catalog()
    for number in range(100):
        catalog.admit(f"i{number}")
    counts = Counts(catalog, slots=1 << 14)
    random = np.random.default_rng(0)
    for number in range(2000):
        counts.count(history(), int(random.integers(3, 40)), NOW_MS)
        counts.count(history(), 2, NOW_MS)
        if number % 20 == 0:
            counts.count(history([40]), 41, NOW_MS)
    return catalog, counts, Ranker(catalog, counts)


def listed(ranker: Ranker, asked: History, length: int = 64) -> dict[int, Scored]:
    """Return a list by row."""
    return {scored.row: scored for scored in ranker.top(ranker.query(asked, NOW_MS), length, by_weight)}


def test_after_an_item_of_the_history() -> None:
    """What follows an item of the history says so; without that item it falls, and says so no longer."""
    _, _, ranker = shop()
    with_cause, without = listed(ranker, history([7, 40])), listed(ranker, history([7]))
    assert with_cause[41].reasons[0] == "after i40"
    assert 41 not in without or without[41].score < with_cause[41].score
    assert all("after i40" not in scored.reasons for scored in without.values())
    assert with_cause[2].reasons == [POPULAR]


def test_like_an_item_that_mostly_comes_later() -> None:
    """What is usually had before an item of the history goes with it: "like", not "after"."""
    _, _, ranker = shop()
    assert listed(ranker, history([41]))[40].reasons[0] == "like i41"


def test_rising_needs_a_rise() -> None:
    """An item of which there is much more lately than on the whole rises; once as usual, it does not."""
    _, counts, ranker = shop()
    assert RISING not in listed(ranker, history())[5].reasons
    for _ in range(150):
        counts.count(history(), 5, NOW_MS)
    risen = listed(ranker, history())[5]
    assert risen.reasons[0] == RISING
    random = np.random.default_rng(1)
    for _ in range(2000):
        counts.count(history(), int(random.integers(3, 40)), NOW_MS)
    fallen = listed(ranker, history())[5]
    assert RISING not in fallen.reasons
    assert fallen.score < risen.score


def test_own_items_say_how_the_user_had_them() -> None:
    """Had once: recently. Had again and again: comes back, and how regularly if it is regular."""
    _, _, ranker = shop()
    once, twice = listed(ranker, history([8, 9])), listed(ranker, history([8, 9, 8, 9], gap_ms=DAY_MS // 3))
    assert RECENT in once[8].reasons
    assert not any(reason.startswith(COMES_BACK) for reason in once[8].reasons)
    assert COMES_BACK in twice[8].reasons
    weekly = listed(ranker, history([8, 8, 8, 8], gap_ms=7 * DAY_MS))
    assert f"{COMES_BACK} weekly" in weekly[8].reasons
    never = listed(ranker, history([]))
    assert 8 not in never or never[8].score < once[8].score


@pytest.mark.parametrize("action", [CART, FAVORITE, PURCHASE])
def test_what_the_user_did_with_an_item(action: int) -> None:
    """Carted, favored or bought: the list says which, of that item alone; merely clicked, it says neither."""
    _, _, ranker = shop()
    did = listed(ranker, history([8, 9, 8], actions=[action, CLICK, CLICK]))
    clicked = listed(ranker, history([8, 9, 8]))
    assert DONE[action] in did[8].reasons
    assert did[8].score > clicked[8].score
    for scored in (*clicked.values(), *(scored for row, scored in did.items() if row != 8)):
        assert not set(DONE.values()) & set(scored.reasons)


def test_bought_is_told_after_carted() -> None:
    """What was carted and then bought was bought; of what everybody buys, buying says nothing."""
    catalog, _, ranker = shop()
    asked = history([8, 9, 8], actions=[CART, CLICK, PURCHASE])
    reasons = listed(ranker, asked)[8].reasons
    assert DONE[PURCHASE] in reasons
    assert DONE[CART] not in reasons
    bought = Counts(catalog, slots=1 << 14)
    for row in (8, 9, 8) * 20:
        bought.count(history(), row, NOW_MS, action=PURCHASE)
    everybody = listed(Ranker(catalog, bought), asked)[8].reasons
    assert everybody
    assert DONE[PURCHASE] not in everybody


def test_what_nobody_named_is_no_reason() -> None:
    """An item of the history that is known by its key alone leads to others, but is not named."""
    catalog, counts, ranker = shop()
    nameless = catalog.reserve_key(12345)
    for _ in range(30):
        counts.count(history([nameless]), 50, NOW_MS)
    reasons = listed(ranker, history([nameless]))[50].reasons
    assert not any(reason.startswith(("after", "like")) for reason in reasons)
