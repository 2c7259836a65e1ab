"""What items have in common, as a graph that grows with the catalogue; bounded, and its words are kept."""

import json
from collections.abc import Container, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Rows
from models.compiled import compiled
from models.graph.layout import LINKS, MEMBERS, RELATIONS, Graph, empty_graph, with_room

_FIRST = 1024
_OF_A_RELATION = 4  # entities of one relation that an item is linked to
_ITEM = "item:"  # before the id of an entity that is an item
_FACTS = ("relations", "subjects", "degrees", "members", "hands")


class Relations:
    """Which items share what. Memory: about 100 bytes an item and 350 an entity."""

    def __init__(self) -> None:
        self.graph: Graph = empty_graph(_FIRST, _FIRST)
        self.names: list[str] = []  # of the relations, the last of RELATIONS for all further ones
        self._numbers: dict[str, int] = {}
        self._entities: dict[int, int] = {}  # hash of relation and value -> entity
        self._named: dict[int, list[int]] = {}  # hash of a value that may be an item's id -> entities
        self._rows: dict[int, int] = {}  # hash of a listed item's id -> its row
        self._ids: dict[int, int] = {}  # the other way round

    def __len__(self) -> int:
        """Return how many entities there are."""
        return len(self._entities)

    def write(
        self,
        row: int,
        item_id: str,
        shared: Iterable[tuple[str, str]],
        related: Iterable[tuple[str, str]] = (),
    ) -> bool:
        """Say what an item is linked to, in place of what was said before; return whether that is new.

        `shared` are (attribute, value), `related` are (relation, entity), whose entity may be another item's
        id, with or without "item:" before it: then that one is linked, too, whichever is listed first.
        """
        self.graph = with_room(self.graph, row + 1, 0)
        own, room, wanted = _hashed(item_id), dict[str, int](), list[int]()
        for pairs, may_be_item in ((shared, False), (related, True)):
            for name, value in pairs:
                room[name] = room.get(name, _OF_A_RELATION) - 1
                if room[name] >= 0:
                    wanted.append(self._entity(name, value, may_be_item))
        about = self._named.get(own, [])
        links = self.graph.links[row]
        if own in self._rows and set(links[links != NONE].tolist()) == set([*wanted, *about][:LINKS]):
            return False
        unlink(self.graph, row)
        self._rows[own], self._ids[row] = row, own
        for entity in wanted:
            link(self.graph, row, entity)
        for entity in about:
            self._be(row, entity)
        return True

    def remove(self, row: int) -> None:
        """Link an item to nothing any more, by what others say of it neither."""
        if row in self._ids:
            unlink(self.graph, row)
            del self._rows[self._ids.pop(row)]

    def wanted(self, names: Container[str]) -> NDArray[np.bool_]:
        """Return bool[RELATIONS]: which have one of the names; one that stands for several has none."""
        alone = self.names if len(self._numbers) <= RELATIONS else self.names[:-1]
        found = np.zeros(RELATIONS, np.bool_)
        found[: len(alone)] = [name in names for name in alone]
        return found

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the graph, and of what its numbers stand for."""
        count, rows = len(self._entities), int(np.flatnonzero(self.graph.links[:, 0] >= 0).max(initial=-1))
        pairs = [(value, entity) for value, entities in self._named.items() for entity in entities]
        return {
            "links": self.graph.links[: rows + 1].copy(),
            **{name: getattr(self.graph, name)[:count].copy() for name in _FACTS},
            "entities": np.array(list(self._entities), np.uint64),
            "named": np.array([value for value, _ in pairs], np.uint64),
            "named_entities": np.array([entity for _, entity in pairs], np.int32),
            "ids": np.array(list(self._rows), np.uint64),
            "rows": np.array(list(self._rows.values()), np.int32),
            "names": np.frombuffer(json.dumps([self.names, self._numbers]).encode(), np.uint8),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for one of other sizes."""
        if arrays["links"].shape[1:] != (LINKS,) or arrays["members"].shape[1:] != (MEMBERS,):
            raise ValueError(f"links of shape {arrays['links'].shape}, expected {LINKS} an item")
        graph = with_room(empty_graph(_FIRST, _FIRST), len(arrays["links"]), len(arrays["entities"]))
        for name in ("links", *_FACTS):
            getattr(graph, name)[: len(arrays[name])] = arrays[name]
        self.graph = graph
        self.names, self._numbers = json.loads(arrays["names"].tobytes())
        self._entities = {value: number for number, value in enumerate(arrays["entities"].tolist())}
        self._rows = dict(zip(arrays["ids"].tolist(), arrays["rows"].tolist(), strict=True))
        self._ids = {row: own for own, row in self._rows.items()}
        self._named = {}
        for value, entity in zip(arrays["named"].tolist(), arrays["named_entities"].tolist(), strict=True):
            self._named.setdefault(value, []).append(entity)

    def _entity(self, name: str, value: str, may_be_item: bool) -> int:
        """Return the number of a relation's value."""
        key = _hashed(f"{name}\x1f{value}")
        if key in self._entities:
            return self._entities[key]
        entity = self._entities[key] = len(self._entities)
        self.graph = with_room(self.graph, 0, entity + 1)
        if name not in self._numbers:
            self._numbers[name] = min(len(self._numbers), RELATIONS - 1)
            if len(self.names) < RELATIONS:
                self.names.append(name)
        self.graph.relations[entity] = self._numbers[name]
        for item_id in dict.fromkeys((value, value.removeprefix(_ITEM))) if may_be_item else ():
            itself = _hashed(item_id)
            self._named.setdefault(itself, []).append(entity)
            if itself in self._rows:
                self._be(self._rows[itself], entity)
        return entity

    def _be(self, row: int, entity: int) -> None:
        """Say that an entity is an item itself."""
        self.graph.subjects[entity] = row
        link(self.graph, row, entity)


def _hashed(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@compiled
def link(graph: Graph, row: int, entity: int) -> None:
    """Link an item to an entity, once; nothing where the item has its fill of links."""
    for place in range(LINKS):
        if graph.links[row, place] == entity:
            return
        if graph.links[row, place] == NONE:
            graph.links[row, place] = entity
            if graph.degrees[entity] < MEMBERS:
                _enter(graph, entity, row)
            graph.degrees[entity] += 1
            return


@compiled
def unlink(graph: Graph, row: int) -> None:
    """Link an item to nothing."""
    for place in range(LINKS):
        entity = graph.links[row, place]
        if entity == NONE:
            break
        graph.links[row, place] = NONE
        graph.degrees[entity] -= 1
        if graph.subjects[entity] == row:
            graph.subjects[entity] = NONE
        _leave(graph, entity, row)


@compiled
def bring_forward(graph: Graph, rows: Rows) -> None:
    """Let int32[n] items that were acted on be known to all of their entities."""
    for row in rows:
        if row < 0 or row >= len(graph.links):
            continue
        for place in range(LINKS):
            entity = graph.links[row, place]
            if entity == NONE:
                break
            _enter(graph, entity, row)


@compiled
def _enter(graph: Graph, entity: int, row: int) -> None:
    """Write a member behind the others, or over the one whose turn it is to give way."""
    for at in range(MEMBERS):
        if graph.members[entity, at] == row:
            return
        if graph.members[entity, at] == NONE:
            graph.members[entity, at] = row
            return
    graph.members[entity, graph.hands[entity] % MEMBERS] = row
    graph.hands[entity] += 1


@compiled
def _leave(graph: Graph, entity: int, row: int) -> None:
    """Take a member out; the last one comes into its place."""
    last, found = NONE, NONE
    for at in range(MEMBERS):
        if graph.members[entity, at] == NONE:
            break
        last = at
        if graph.members[entity, at] == row:
            found = at
    if found != NONE:
        graph.members[entity, found] = graph.members[entity, last]
        graph.members[entity, last] = NONE
