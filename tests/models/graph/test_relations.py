"""The catalogue as a graph: what is linked, what is forgotten, and the paths that it has."""

import numpy as np
import pytest

from models.arrays import NONE, Rows
from models.graph import LOOK_BACK, RELATIONS, PathCounter, Relations, find_path
from models.graph.layout import LINKS, MEMBERS
from models.graph.relations import bring_forward


def _rows(*rows: int) -> Rows:
    return np.array(rows, np.int32)


def _shop() -> Relations:
    """Return items 0 to 9 of two brands, the even and the odd ones, and 3 is an accessory of 0."""
    relations = Relations()
    for row in range(10):
        related = [("accessory of", "i0")] if row == 3 else []
        relations.write(row, f"i{row}", [("brand", "ab"[row % 2])], related)
    return relations


def _paths(relations: Relations, past: Rows, candidates: Rows) -> dict[str, list[float]]:
    paths = PathCounter().count(relations.graph, past[None], candidates[None])[0]  # [K, RELATIONS]
    return {name: paths[:, number].tolist() for number, name in enumerate(relations.names)}


def test_a_path_joins_what_shares_a_value_and_counts_less_the_longer_ago() -> None:
    """Items of the brand of the newest event are joined most, others not at all, nor an item with itself."""
    relations = _shop()
    found = _paths(relations, _rows(2, 5), _rows(4, 7, 2))["brand"]
    rarity = 1 / (1 + np.log(5))
    assert found == pytest.approx([rarity, 0.85 * rarity, 0.0])
    assert _paths(relations, _rows(2, -1), _rows(-1, 900)) == {"brand": [0, 0], "accessory of": [0, 0]}


def test_an_entity_that_is_an_item_joins_it_whichever_was_listed_first() -> None:
    """An accessory and its item are joined both ways, also if the item is listed after the accessory."""
    later, marked = Relations(), Relations()
    later.write(3, "i3", [], [("accessory of", "i0")])
    later.write(0, "i0", [])
    marked.write(0, "i0", [])
    marked.write(3, "i3", [], [("accessory of", "item:i0")])
    for relations in (_shop(), later, marked):
        for past, candidate in ((0, 3), (3, 0)):
            assert _paths(relations, _rows(past), _rows(candidate))["accessory of"][0] > 0
            position, entity = find_path(
                relations.graph, _rows(past), candidate, relations.wanted(["accessory of"])
            )
            assert position == 0
            assert relations.graph.subjects[entity] == 0


def test_a_path_is_to_the_newest_item_that_shares_all_that_is_wanted() -> None:
    """One relation is shared by the newest, both by an older one; nobody shares what nobody has."""
    relations = Relations()
    for row in range(12):
        relations.write(row, f"i{row}", [("kind", "film"), ("director", f"d{row // 2}")])
    graph, both = relations.graph, relations.wanted(["kind", "director"])
    position, entity = find_path(graph, _rows(7, 4), 5, relations.wanted(["kind"]))
    assert (position, relations.names[graph.relations[entity]]) == (0, "kind")
    position, entity = find_path(graph, _rows(7, 4), 5, both)
    assert (position, relations.names[graph.relations[entity]]) == (1, "director")
    for past, row, wanted in (
        (_rows(), 5, both),
        (_rows(5), 5, both),
        (_rows(7), 5, both),
        (_rows(-1, 4_000), 5, both),
        (_rows(4), 4_000, both),
        (_rows(4), 5, relations.wanted(["maker"])),
    ):
        assert find_path(graph, past, row, wanted) == (-1, -1)


def test_a_relation_that_stands_for_several_has_no_name() -> None:
    """The last place is shared by all further relations: none of these has a name; alone in it, one has."""
    relations = Relations()
    names = [f"r{number}" for number in range(RELATIONS + 1)]
    relations.write(0, "i0", [(name, "a") for name in names[:RELATIONS]])
    assert relations.wanted([names[-2]]).tolist() == [False] * (RELATIONS - 1) + [True]
    relations.write(0, "i0", [(name, "a") for name in names])
    assert not relations.wanted(names[-2:]).any()
    assert relations.wanted(names[:2]).sum() == 2


def test_what_is_said_anew_replaces_what_was_said_and_the_same_changes_nothing() -> None:
    """A changed brand moves the item; said again, nothing is new; a removed item is linked to nothing."""
    relations = _shop()
    assert not relations.write(4, "i4", [("brand", "a")])
    assert relations.write(4, "i4", [("brand", "b")])
    assert _paths(relations, _rows(2), _rows(4))["brand"] == [0]
    assert _paths(relations, _rows(5), _rows(4))["brand"][0] > 0
    relations.remove(4)
    assert _paths(relations, _rows(5), _rows(4))["brand"] == [0]
    assert 4 not in relations.graph.members
    assert relations.graph.degrees[:2].tolist() == [4, 5]


def test_it_is_bounded_on_both_sides_and_remembers_who_was_acted_on() -> None:
    """Links, members and relations have limits; an item that somebody takes is a member again."""
    relations, many = Relations(), 3 * MEMBERS
    for row in range(many):
        relations.write(row, f"i{row}", [("brand", "a"), *((f"r{each}", f"{row}") for each in range(40))])
    graph = relations.graph
    assert graph.links.shape[1] == LINKS
    assert len(relations.names) == RELATIONS == graph.relations.max() + 1
    assert graph.degrees[0] == many
    assert many - 1 not in graph.members[0]
    bring_forward(graph, _rows(many - 1, many - 1, -1, 50_000))
    assert (graph.members[0] == many - 1).sum() == 1
    assert len(np.unique(graph.members[0])) == MEMBERS


def test_of_one_relation_only_a_few_entities_take_up_room() -> None:
    """Thirty actors leave room for the director."""
    relations = Relations()
    relations.write(0, "i0", [], [*(("actor", f"a{each}") for each in range(30)), ("director", "d")])
    relations.write(1, "i1", [], [("director", "d")])
    assert find_path(relations.graph, _rows(0), 1, relations.wanted(["director"]))[0] == 0


def test_only_the_newest_events_are_looked_at() -> None:
    """An event behind LOOK_BACK others makes no path."""
    relations = _shop()
    past = np.append(np.full(LOOK_BACK, 5, np.int32), np.int32(2))
    assert _paths(relations, past, _rows(4))["brand"] == [0]
    assert find_path(relations.graph, past, 4, relations.wanted(["brand"])) == (-1, -1)


def test_a_snapshot_holds_everything() -> None:
    """Restored, it has the same paths, and goes on as the original does; of other sizes it is refused."""
    relations, other = _shop(), Relations()
    other.restore(relations.snapshot())
    for each in (relations, other):
        each.write(11, "i11", [("brand", "a"), ("colour", "red")], [("accessory of", "i7")])
        assert not each.write(3, "i3", [("brand", "b")], [("accessory of", "i0")])
    mine, theirs = relations.snapshot(), other.snapshot()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    assert find_path(other.graph, _rows(7), 11, other.wanted(["accessory of"]))[0] == 0
    mine["links"] = mine["links"][:, :3]
    with pytest.raises(ValueError, match="links"):
        other.restore(mine)


def test_a_removed_item_is_linked_again_when_it_is_listed_again_and_not_before() -> None:
    """Others may name it meanwhile: it is nobody's neighbour until it is back, also after a restart."""
    relations = Relations()
    relations.write(0, "gone", [("brand", "a")])
    relations.remove(0)
    other = Relations()
    other.restore(relations.snapshot())
    for each in (relations, other):
        each.remove(0)
        each.remove(7)
        each.write(1, "i1", [], [("accessory of", "gone")])
        assert (each.graph.links[0] == NONE).all()
        assert 0 not in each.graph.members
        each.write(0, "gone", [])
        assert _paths(each, _rows(0), _rows(1))["accessory of"][0] > 0


def test_what_nobody_has_any_more_is_forgotten() -> None:
    """However often what is said changes, and however much at once, no more is kept than is linked."""
    relations, other = Relations(), Relations()
    for number in range(2000):
        row = number % 20
        said = [("brand", "a"), ("price", f"{number}"), ("maker", f"m{number % 7}")]
        for each in (relations, other) if number > 1000 else (relations,):
            each.write(row, f"i{row}", said, [("goes with", f"i{number % 31}")])
            if number % 50 == 0:
                each.remove(number % 19)
        if number == 1000:
            other.restore(relations.snapshot())
    assert len(relations) == len(np.unique(relations.graph.links[relations.graph.links >= 0]))
    assert len(relations.graph.degrees) == len(Relations().graph.degrees)
    mine, theirs = relations.snapshot(), other.snapshot()
    assert all(np.array_equal(mine[name], theirs[name]) for name in mine)
    relations.write(50, "i50", [], [(f"r{number}", "v") for number in range(20_000)])
    assert len(relations) <= 20 * LINKS + LINKS
    assert len(mine["names"]) < len(relations.snapshot()["names"]) < 2_000


def test_a_snapshot_that_kept_everything_is_relieved_of_what_nobody_has() -> None:
    """Entities of an older checkpoint that no item is linked to are free after it was restored."""
    older, other = _shop(), Relations()
    arrays = older.snapshot()
    del arrays["free"]
    for name, array in arrays.items():
        if name in ("relations", "degrees", "subjects", "members", "hands", "entities"):
            more = array[:1] * 0 + (9 if name == "entities" else -(name in ("subjects", "members")))
            arrays[name] = np.concatenate([array, more.astype(array.dtype)])
    other.restore(arrays)
    assert len(other) == len(older)
    for each in (older, other):
        each.write(20, "i20", [("brand", "new")])
    assert len(other.graph.members) == len(older.graph.members)
    assert np.array_equal(older.graph.links, other.graph.links)
