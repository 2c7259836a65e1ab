"""A reason may be a path through the catalogue: told in plain words, and only where the score rests on it."""

from collections.abc import Callable

import numpy as np
import pytest

from models.actions import CART, CLICK, FAVORITE, PURCHASE
from models.catalog import Catalog
from models.columns import features_of
from models.content import Content, Description
from models.content.description import shared_of
from models.counts import Counts
from models.graph import Relations
from models.history import History
from models.ranking import FeatureArray, Ranker
from tests.models.histories import NOW_MS, history

ITEMS, MAKERS = 120, 6
NAMES = [feature.name for feature in features_of(has_content=True)]
Scores = Callable[[FeatureArray, FeatureArray], FeatureArray]
Describe = Callable[[int], Description]


def by_weight(**weights: float) -> Scores:
    """Score by a few columns; the second stage of these tests."""
    column = np.array([weights.get(name.replace(" ", "_"), 0.0) for name in NAMES], np.float32)
    return lambda features, context: features @ column


def of_a_maker(row: int) -> Description:
    """Say who made an item, and nothing else."""
    return Description(attributes={"maker": f"m{row % MAKERS}"})


class Shop:
    """A shop whose users stay with a maker once they have chosen one."""

    def __init__(self, describe: Describe = of_a_maker, listed: int = ITEMS) -> None:
        self.catalog = Catalog()
        self.counts = Counts(self.catalog, slots=1 << 14)
        self.ranker = Ranker(self.catalog, self.counts)
        self.content, self.relations = Content(), Relations()
        rows = [self.catalog.admit(f"i{number}") for number in range(ITEMS)]
        for row in rows[:listed]:
            self.say(row, describe(row))
        if listed:
            self.content.choose_kinds()
            self.ranker.use_content(self.content, self.relations)
        random = np.random.default_rng(0)
        for _ in range(1500):
            first, second = random.integers(ITEMS // MAKERS, size=2) * MAKERS + random.integers(MAKERS)
            for past, row in ((history(), int(first)), (history([int(first)]), int(second))):
                self.counts.count(past, row, NOW_MS)
                if listed:
                    self.content.count(self.counts.tables, past, row, CLICK, NOW_MS, False)

    def say(self, row: int, item: Description) -> None:
        """List an item, or say something else of it."""
        self.content.enlist(row, item, self.counts.has_occurred(row))
        self.relations.write(row, f"i{row}", shared_of(item), item.relations)

    def reasons(self, asked: History, scores: Scores) -> dict[int, list[str]]:
        """Return row -> the reasons of a list of all that was kept."""
        query = self.ranker.query(asked, NOW_MS)
        return {scored.row: scored.reasons for scored in self.ranker.top(query, 64, scores)}


def paths_in(reasons: dict[int, list[str]]) -> dict[int, str]:
    """Return row -> the reason that is a path."""
    return {row: why for row, every in reasons.items() for why in every if "which" in why or "one of" in why}


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (CLICK, "which you clicked"),
        (CART, "which you put in your cart"),
        (FAVORITE, "one of your favorites"),
        (PURCHASE, "which you bought"),
    ],
)
def test_same_maker_as_what_the_user_had(action: int, words: str) -> None:
    """Where the maker decides, its items say so, name the one that they are joined to, and what was done."""
    reasons = Shop().reasons(history([14], actions=[action]), by_weight(kind_0=50.0))
    told = paths_in(reasons)
    assert len(told) > 3
    assert {row % MAKERS for row in told} == {14 % MAKERS}
    assert 14 not in told
    assert set(told.values()) == {f"same maker as i14, {words}"}


def test_it_is_told_only_where_the_score_rests_on_it() -> None:
    """Where the score does not look at makers, or the maker is no likelier than others, no path is told."""
    shop, asked = Shop(), history([14])
    assert not paths_in(shop.reasons(asked, by_weight(popularity=5.0)))
    assert not paths_in(shop.reasons(asked, by_weight(kind_0=-50.0)))
    others = shop.reasons(asked, by_weight(kind_0=50.0))
    assert any(row % MAKERS != 14 % MAKERS for row in others)
    assert not paths_in(shop.reasons(history(), by_weight(kind_0=50.0)))
    assert not paths_in(Shop(listed=0).reasons(asked, lambda features, context: features.sum(axis=1)))


def test_of_two_that_share_it_the_newest_is_named_with_what_was_done_with_it_last() -> None:
    """The path goes to the newest item of the maker; a click after a purchase does not undo the purchase."""
    asked = history([20, 14, 14], actions=[PURCHASE, PURCHASE, CLICK])
    told = paths_in(Shop().reasons(asked, by_weight(kind_0=50.0)))
    assert set(told.values()) == {
        "same maker as i14, which you bought",
        "same maker as i20, which you bought",
    }
    assert {row for row, why in told.items() if "i20" in why} == {14}


def test_one_item_of_the_user_is_named_once() -> None:
    """What is both "after i14" and of its maker tells the stronger of both, and leaves room."""
    both = by_weight(kind_0=50.0, companions=9.0, popularity=9.0)
    reasons = Shop().reasons(history([14]), both)
    assert paths_in(reasons)
    for every in reasons.values():
        assert sum("i14" in why for why in every) <= 1


def test_what_is_removed_or_said_anew_is_joined_no_longer() -> None:
    """An item that changed its maker, or whose entry was removed, is not of the maker of before."""
    shop, asked, scores = Shop(), history([14]), by_weight(kind_0=50.0, companions=5.0)
    moved, removed, *_ = paths_in(shop.reasons(asked, scores))
    shop.say(moved, of_a_maker(moved + 1))
    shop.relations.remove(removed)
    left = paths_in(shop.reasons(asked, scores))
    assert left
    assert not {moved, removed} & set(left)


def test_two_attributes_that_are_one_kind_are_both_shared() -> None:
    """A kind of two attributes is a reason only towards an item that has both in common."""

    def describe(row: int) -> Description:
        return Description(attributes={"maker": f"m{row % 3}", "size": f"s{row % 2}"})

    shop = Shop(describe)
    kind = next(number for number, kind in enumerate(shop.content.kinds) if len(kind) == 2)
    told = paths_in(shop.reasons(history([14]), by_weight(**{f"kind_{kind}": 50.0})))
    assert {row % MAKERS for row in told} == {14 % MAKERS}
    names = " and ".join(shop.content.kinds[kind])
    assert set(told.values()) == {f"same {names} as i14, which you clicked"}


def accessory(row: int) -> Description:
    """Say that an item is an accessory of one of the first."""
    main = row % MAKERS
    return Description(relations=[("accessory_of", f"i{main}")] if row != main else ())


def test_an_item_may_itself_be_what_others_are_related_to() -> None:
    """An accessory names the item that it belongs to; among accessories that is told, too."""
    shop = Shop(accessory)
    scores = by_weight(kind_0=50.0)
    to_main = paths_in(shop.reasons(history([2], actions=[PURCHASE]), scores))
    assert set(to_main.values()) == {"accessory of i2, which you bought"}
    among = paths_in(shop.reasons(history([14], actions=[PURCHASE]), scores))
    assert "accessory of i2, like i14, which you bought" in among.values()
    assert 2 not in among


def test_a_relation_that_was_read_backwards_is_not_told_as_if_it_were_not() -> None:
    """What an item of the user is an accessory of goes with it; it is no accessory itself."""

    def main_of(row: int) -> Description:
        return Description(relations=[("~accessory_of", f"item:i{row % MAKERS}")] if row >= MAKERS else ())

    told = paths_in(Shop(main_of).reasons(history([2], actions=[PURCHASE]), by_weight(kind_0=50.0)))
    assert set(told.values()) == {"goes with i2, which you bought"}


def test_names_of_relations_are_told_as_a_person_writes_them() -> None:
    """Of a name in a knowledge graph the last part is told, with spaces between its words."""
    shop = Shop(lambda row: Description(attributes={"film.film.made_by": f"m{row % MAKERS}"}))
    told = paths_in(shop.reasons(history([14]), by_weight(kind_0=50.0)))
    assert set(told.values()) == {"made by the same as i14, which you clicked"}
