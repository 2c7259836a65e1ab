"""What the catalogue says, kept up through listings, removals and events; checked against a plain model."""

import json
import random

import numpy as np

from models.arrays import NONE
from models.catalog import Catalog
from models.content import Content, Description
from models.content.layout import COLD, WARM
from models.content.shelving import firsts
from models.counts import Counts
from tests.models.histories import NOW_MS, history

ITEMS = 150


def described(row: int, shift: int = 0) -> Description:
    """Return an item with one of ten categories and one of seven makers."""
    return Description(
        title=f"t{row}", categories=[f"c{(row + shift) % 10}"], attributes={"maker": f"m{row % 7}"}
    )


def cold_of(content: Content, kind: int, value: int) -> list[int]:
    """Return the cold items of a value as they are linked."""
    shelves, found = content.tables.shelves, []
    row = int(shelves.first[kind, value])
    while row != NONE:
        found.append(row)
        row = int(shelves.following[kind, row])
    return found


def test_shelves_agree_with_a_plain_model() -> None:
    """After any mixture of listings, changes, removals and events every shelf has what it should have."""
    rng = random.Random(3)
    catalog = Catalog()
    for row in range(ITEMS):
        catalog.admit(f"i{row}")
    counts, content = Counts(catalog, slots=1 << 12), Content()
    listed: dict[int, int] = {}
    occurred: dict[int, int] = {}
    for row in range(100):  # enough for the kinds to be chosen
        content.enlist(row, described(row), has_occurred=False)
        listed[row] = 0
    assert set(content.kinds) >= {("categories",), ("maker",)}
    for _ in range(1500):
        row, dice = rng.randrange(ITEMS), rng.random()
        if dice < 0.2:
            listed[row] = rng.randrange(3)
            content.enlist(row, described(row, listed[row]), has_occurred=row in occurred)
        elif dice < 0.3:
            listed.pop(row, None)
            content.remove(row)
        else:
            counts.count(history([]), row, NOW_MS)
            content.count(counts.tables, history([]), row, 0, NOW_MS, is_late=False)
            occurred[row] = occurred.get(row, 0) + 1
    kind, shelves = content.kinds.index(("categories",)), content.tables.shelves
    assert len(occurred) < ITEMS or len(listed) > 0
    for row in range(ITEMS):
        if row in occurred:
            assert shelves.states[row] == WARM
        elif row in listed:
            assert shelves.states[row] == COLD
    for value in range(10):
        theirs = {row for row in range(ITEMS) if shelves.values[kind, row] == value}
        cold = cold_of(content, kind, value)
        assert sorted(cold) == sorted(row for row in theirs if shelves.states[row] == COLD)
        assert shelves.cold[kind, value] == len(cold)
        assert shelves.warm[kind, value] == sum(row in occurred for row in theirs)
        leaders = [row for row in shelves.leaders[kind, value].tolist() if row != NONE]
        assert set(leaders) <= theirs & set(occurred) & set(listed)
        assert 0 < firsts(shelves, kind, value) < 1


def test_the_most_popular_of_a_value_lead() -> None:
    """The items of a category that occur most often are its leaders, the most frequent first."""
    catalog = Catalog()
    for row in range(ITEMS):
        catalog.admit(f"i{row}")
    counts, content = Counts(catalog, slots=1 << 12), Content()
    for row in range(ITEMS):
        content.enlist(row, described(row), has_occurred=False)
    for times in range(15):
        for place in range(times + 1):
            row = 10 * (14 - place)  # of category 0: item 140 every time, item 0 once
            counts.count(history([]), row, NOW_MS)
            content.count(counts.tables, history([]), row, 0, NOW_MS, is_late=False)
    kind = content.kinds.index(("categories",))
    value = int(content.tables.shelves.values[kind, 0])
    assert content.tables.shelves.leaders[kind, value].tolist() == [140 - 10 * place for place in range(12)]


def test_a_copy_goes_on_as_the_original_does() -> None:
    """A content restored from a snapshot is the same to the last bit, now and after more has happened."""
    catalog = Catalog()
    for row in range(ITEMS):
        catalog.admit(f"i{row}")
    counts, one = Counts(catalog, slots=1 << 12), Content()
    for row in range(ITEMS):
        one.enlist(row, described(row), has_occurred=False, is_candidate=row % 3 > 0)
        one.put_text(row, row // 2)
    texts = np.arange(75, dtype=np.int32)
    one.put_neighbours(texts, np.roll(texts, 1)[:, None].repeat(20, 1), np.ones((75, 20), np.float32))
    other = Content()
    rng = random.Random(5)
    for number in range(300):
        if number == 150:
            other.restore(one.snapshot())
        row, past = rng.randrange(ITEMS), history([rng.randrange(ITEMS), rng.randrange(ITEMS)])
        counts.count(past, row, NOW_MS)
        for content in (one, other) if number >= 150 else (one,):
            content.count(counts.tables, past, row, 0, NOW_MS, is_late=False)
            content.enlist((row + 1) % ITEMS, described(row + 1, number % 2), counts.has_occurred(row + 1))
    ours, theirs = one.snapshot(), other.snapshot()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_an_item_that_is_said_to_have_occurred_is_counted_among_its_values_warm() -> None:
    """A cold item listed again as one that occurred moves over; when its values change it leaves them."""
    content = Content()
    for row in range(100):
        content.enlist(row, described(row), has_occurred=False)
    kind, shelves = content.kinds.index(("categories",)), content.tables.shelves
    value, other = (int(shelves.values[kind, row]) for row in (0, 1))
    content.enlist(0, described(0), has_occurred=True)
    assert (shelves.warm[kind, value], shelves.cold[kind, value]) == (1, 9)
    content.enlist(0, described(0, shift=1), has_occurred=True)
    assert (shelves.warm[kind, value], shelves.warm[kind, other]) == (0, 1)


def test_kinds_are_chosen_as_soon_as_something_is_shared() -> None:
    """Twenty items suffice; where the first of a catalogue share nothing, kinds come with those that do."""
    few, late = Content(), Content()
    for row in range(20):
        few.enlist(row, Description(attributes={"maker": f"m{row % 3}"}), has_occurred=False)
    assert few.kinds == [("maker",)]
    for row in range(1000):
        maker = f"m{row % 5}" if row >= 100 else f"alone {row}"
        late.enlist(row, Description(attributes={"maker": maker}), has_occurred=False)
    assert late.kinds == [("maker",)]


def test_kinds_stand_in_the_order_of_what_they_say_until_something_was_counted() -> None:
    """What says most gathers first, though chosen last; from the first event on each keeps its place."""
    for has_event in (False, True):
        catalog, content = Catalog(), Content()
        for row in range(100):
            catalog.admit(f"i{row}")
        counts = Counts(catalog, slots=1 << 12)
        for row in range(100):
            if row == 40 and has_event:
                counts.count(history([]), 0, NOW_MS)
                content.count(counts.tables, history([]), 0, 0, NOW_MS, is_late=False)
            by_row = {"maker": f"m{row % 2}"} if row < 40 else {"maker": f"m{row % 2}", "size": f"s{row % 9}"}
            content.enlist(row, Description(attributes=by_row), has_occurred=False)
        content.choose_kinds()
        assert content.kinds[0] == (("maker",) if has_event else ("size", "maker"))


def test_values_of_the_past_take_up_no_room() -> None:
    """However often prices change, values are as many as rows; kinds by them hold what is listed, exactly."""
    one, other = Content(), Content()
    for number in range(12_000):
        row = number % 60
        by_row = {"maker": f"m{row % 5}", "price": f"{number // 4}", "stock": f"{number // 3}"}
        for content in (one, other) if number > 6000 else (one,):
            content.enlist(row, Description(attributes=by_row), has_occurred=row % 2 > 0)
        if number == 6000:
            other.restore(one.snapshot())
    assert {name for kind in one.kinds for name in kind} > {"price"}
    words = json.loads(one.snapshot()["attributes_words"].tobytes())
    assert max(map(len, words["values"])) <= 2 * 1024
    assert one.tables.shelves.first.shape[1] <= 2 * 2048
    for kind in range(len(one.kinds)):
        values = one.tables.shelves.values[kind, :60]
        for value in set(values.tolist()):
            theirs = [row for row in range(60) if values[row] == value]
            assert sorted(cold_of(one, kind, value)) == [row for row in theirs if row % 2 == 0]
            assert one.tables.shelves.warm[kind, value] == sum(row % 2 for row in theirs)
    ours, theirs_too = one.snapshot(), other.snapshot()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs_too[name], err_msg=name)
