"""Which attributes become kinds, and what is read from an item."""

import numpy as np

from models.content.description import Description, attributes_of
from models.content.kinds import choose_kinds, joined


def test_what_several_items_share_is_chosen_and_what_one_alone_has_is_not() -> None:
    """A title that no other item has is worth nothing, a category of six items is."""
    codes = {"title": np.arange(120, dtype=np.int32), "category": np.arange(120, dtype=np.int32) // 6}
    assert choose_kinds(codes, 3) == [("category",)]


def test_what_divides_the_items_alike_is_chosen_once() -> None:
    """A second name for the same thing is no second kind; what is independent of it is one."""
    category = np.arange(1200, dtype=np.int32) % 24
    codes = {"a": category, "b": category[::1].copy(), "c": np.arange(1200, dtype=np.int32) // 60}
    chosen = choose_kinds(codes, 4)
    assert ("a",) in chosen
    assert ("b",) not in chosen
    assert ("c",) in chosen


def test_pairs_are_told_by_appearance_and_need_both() -> None:
    """Two columns together get codes in the order of appearance, -1 where one of them says nothing."""
    one, other = np.array([3, 3, -1, 0, 3], np.int32), np.array([1, 2, 1, 1, 1], np.int32)
    assert joined([one, other]).tolist() == [0, 1, -1, 2, 0]


def test_attributes_are_read_from_all_that_is_said() -> None:
    """Categories, brand, numbers and texts, the first entity of a relation, and a year behind the title."""
    item = Description(
        title="Heat (1995)",
        categories=["Crime", "Drama"],
        brand="B",
        attributes={"size": 3, "tags": ["x"], "none": ""},
        relations=[("directed_by", "m1"), ("directed_by", "m2")],
    )
    assert attributes_of(item) == {
        "categories": "Crime / Drama",
        "category": "Drama",
        "brand": "B",
        "size": "3",
        "directed_by": "m1",
        "year": "1995",
        "title": "Heat (1995)",
    }
    assert attributes_of(Description()) == {}
