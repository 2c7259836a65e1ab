"""What users do with items, as counters and features tell it apart."""

import numpy as np
import pytest

from models.actions import CART, CLICK, FAVORITE, PURCHASE
from models.catalog import Catalog
from models.columns import CONTEXT, FEATURES
from models.counts import Counts
from models.counts.layout import (
    BOUGHT,
    BY_ACTION,
    FOLLOWED_EARNEST,
    FOLLOWED_LAST,
    NEXT,
    NEXT_EARNEST,
    OFFSET,
)
from models.ranking import Query, Ranker
from tests.models.histories import NOW_MS, history

NAMES = [feature.name for feature in FEATURES]
DIFFERENCE = "transition after such an action"


def shop(items: int = 40) -> tuple[Catalog, Counts, Ranker]:
    """Return a shop in which nothing has happened."""
    catalog = Catalog()
    for number in range(items):
        catalog.admit(f"i{number}")
    counts = Counts(catalog, slots=1 << 12)
    return catalog, counts, Ranker(catalog, counts)


def value(query: Query, row: int, name: str) -> float:
    """Return a feature of a candidate."""
    return float(query.features[query.rows.tolist().index(row), NAMES.index(name)])


def test_transitions_are_counted_apart_by_what_was_done_before() -> None:
    """Of all that came right after an item, so much did where it was carted, favored or bought."""
    _, counts, _ = shop()
    for action in (CLICK, CLICK, CART, FAVORITE, PURCHASE):
        counts.count(history([5, 0], actions=[PURCHASE, action]), 1, NOW_MS)
    tables = counts.tables
    offset = tables.facts[0, OFFSET]
    slot = offset + tables.neighbours[offset : offset + 8].tolist().index(1)
    assert (tables.pairs[slot, NEXT], tables.pairs[slot, NEXT_EARNEST]) == (5, 3)
    assert (tables.values[0, FOLLOWED_LAST], tables.values[0, FOLLOWED_EARNEST]) == (5, 3)


def test_purchases_are_counted_of_items_and_of_all() -> None:
    """The counters know how many events there were of each action, and which items were bought."""
    _, counts, _ = shop()
    for row, action in ((1, PURCHASE), (1, CLICK), (2, CART), (2, FAVORITE), (1, PURCHASE)):
        counts.count(history(), row, NOW_MS, action=action)
    assert counts.tables.clock[BY_ACTION : BY_ACTION + 4].tolist() == [1, 1, 1, 2]
    assert counts.tables.values[:4, BOUGHT].tolist() == [0, 2, 0, 0]


def test_what_follows_a_purchase_is_told_from_what_follows_a_click() -> None:
    """After each action the item that follows it is above what is usual, and the other one below."""
    _, counts, ranker = shop()
    for _ in range(20):
        counts.count(history([0], actions=[CLICK]), 1, NOW_MS)
        counts.count(history([0], actions=[PURCHASE]), 2, NOW_MS)
    for action, follows, other in ((CLICK, 1, 2), (PURCHASE, 2, 1)):
        query = ranker.query(history([0], actions=[action]), NOW_MS)
        assert value(query, follows, DIFFERENCE) == pytest.approx(np.sqrt(10 / 25))
        assert value(query, other, DIFFERENCE) == pytest.approx(-np.sqrt(10 / 25))
        assert value(query, follows, "transition") == value(query, other, "transition") == 1


@pytest.mark.parametrize("action", [CLICK, PURCHASE])
def test_actions_say_nothing_where_all_are_alike(action: int) -> None:
    """In a stream of one action the columns about actions are 0 for every candidate."""
    _, counts, ranker = shop()
    random = np.random.default_rng(0)
    past = [0]
    for row in random.integers(0, 30, 600).tolist():
        counts.count(history(past, actions=[action] * len(past)), row, NOW_MS, action=action)
        past = [*past[-4:], row]
    query = ranker.query(history(past, actions=[action] * len(past)), NOW_MS)
    for name in ("bought share", "own carted", "own favored", "own bought", DIFFERENCE):
        np.testing.assert_allclose(query.features[:, NAMES.index(name)], 0, atol=1e-3, err_msg=name)


def test_own_items_have_what_was_last_done_with_them() -> None:
    """Carted and favored since it was bought last, bought, by position; a click changes none of these."""
    _, counts, ranker = shop()
    for _ in range(10):
        counts.count(history(), 9, NOW_MS)
    rows = [1, 2, 3, 3, 2, 2, 4]
    actions = [CART, PURCHASE, FAVORITE, CLICK, CART, CLICK, CLICK]
    query = ranker.query(history(rows, actions=actions), NOW_MS)
    told = {
        row: [value(query, row, f"own {name}") for name in ("carted", "favored", "bought")] for row in rows
    }
    assert told[1] == pytest.approx([0.97**7, 0, 0])
    assert told[2] == pytest.approx([0.97**3, 0, 0.97**6])
    assert told[3] == pytest.approx([0, 0.97**5, 0])
    assert told[4] == [0, 0, 0]
    query = ranker.query(history([1, 1], actions=[CART, PURCHASE]), NOW_MS)
    assert value(query, 1, "own carted") == 0
    assert value(query, 1, "own bought") == pytest.approx(0.97)


def test_an_item_that_is_bought_oftener_than_usual_stands_out() -> None:
    """The share of an item's events that are purchases, against that of all: above 0, or below it."""
    _, counts, ranker = shop()
    for number in range(40):
        counts.count(history(), 1, NOW_MS, action=PURCHASE if number % 2 else CLICK)
        counts.count(history(), 2, NOW_MS, action=CLICK)
        counts.count(history(), 3, NOW_MS, action=CLICK if number % 4 else PURCHASE)
    query = ranker.query(history(), NOW_MS)
    assert value(query, 1, "bought share") > 0.2 > 0 > -0.5 > value(query, 2, "bought share")
    assert value(query, 3, "bought share") == pytest.approx(0, abs=1e-6)


def test_the_context_says_what_was_done_last() -> None:
    """One of three columns for the last action, none for a click; and how much was more than a click."""
    _, _, ranker = shop()
    names = [f"last was a {name}" for name in ("cart", "favorite", "purchase")]
    for action in (CLICK, CART, FAVORITE, PURCHASE):
        context = ranker.query(history([1, 2, 3, 4], actions=[CART, CLICK, CLICK, action]), NOW_MS).context
        said = [float(context[CONTEXT.index(name)]) for name in names]
        assert said == [float(action == each) for each in (CART, FAVORITE, PURCHASE)]
        assert context[CONTEXT.index("more than clicks")] == (2 if action != CLICK else 1) / 4
