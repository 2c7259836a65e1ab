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
_NO_KEY = 0
_FACTS = ("relations", "subjects", "degrees", "members", "hands")


class Relations:
    """Which items share what. Memory: about 200 bytes an item and 400 an entity that an item is linked to.

    An entity that no item is linked to any more is forgotten, and its number given to another.
    """

    def __init__(self) -> None:
        self.graph: Graph = empty_graph(_FIRST, _FIRST)
        self.names: list[str] = []  # of the relations, the last of RELATIONS for all further ones
        self._numbers: dict[str, int] = {}
        self._entities: dict[int, int] = {}  # hash of relation and value -> entity
        self._keys: list[int] = []  # the other way round, 0 for an entity that is free
        self._free: list[int] = []
        self._named: dict[int, list[int]] = {}  # hash of a value that may be an item's id -> entities
        self._named_by: dict[int, list[int]] = {}  # the other way round
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
        own, wanted = _hashed(item_id), self._wanted(shared, related)
        about = self._named.get(own, [])
        before = self._linked(row)
        if own in self._rows and set(before) == {*list(dict.fromkeys([*wanted, *about]))[:LINKS]}:
            return False
        unlink(self.graph, row)
        self._rows[own], self._ids[row] = row, own
        for entity in wanted:
            link(self.graph, row, entity)
        for entity in about:
            self._be(row, entity)
        self._forget(before)
        return True

    def remove(self, row: int) -> None:
        """Link an item to nothing any more, by what others say of it neither."""
        if row not in self._ids:
            return
        own, before = self._ids.pop(row), self._linked(row)
        del self._rows[own]
        unlink(self.graph, row)
        self.graph.subjects[self._named.get(own, [])] = NONE  # also where there was no room for a link
        self._forget(before)

    def wanted(self, names: Container[str]) -> NDArray[np.bool_]:
        """Return bool[RELATIONS]: which have one of the names; one that stands for several has none."""
        alone = self.names if len(self._numbers) <= RELATIONS else self.names[:-1]
        found = np.zeros(RELATIONS, np.bool_)
        found[: len(alone)] = [name in names for name in alone]
        return found

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the graph, and of what its numbers stand for."""
        count, rows = len(self._keys), int(np.flatnonzero(self.graph.links[:, 0] >= 0).max(initial=-1))
        pairs = [(value, entity) for value, entities in self._named.items() for entity in entities]
        return {
            "links": self.graph.links[: rows + 1].copy(),
            **{name: getattr(self.graph, name)[:count].copy() for name in _FACTS},
            "entities": np.array(self._keys, np.uint64),
            "free": np.array(self._free, np.int32),
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
        self._keys = arrays["entities"].tolist()
        self._entities = {key: entity for entity, key in enumerate(self._keys)}
        self._rows = dict(zip(arrays["ids"].tolist(), arrays["rows"].tolist(), strict=True))
        self._ids = {row: own for own, row in self._rows.items()}
        self._named, self._named_by, self._free = {}, {}, []
        for value, entity in zip(arrays["named"].tolist(), arrays["named_entities"].tolist(), strict=True):
            self._name(value, entity)
        if "free" in arrays:
            self._free = arrays["free"].tolist()
            self._entities.pop(_NO_KEY, None)
        else:
            self._forget(range(len(self._keys)))  # of a checkpoint that kept them all

    def _wanted(
        self, shared: Iterable[tuple[str, str]], related: Iterable[tuple[str, str]]
    ) -> dict[int, None]:
        """Return the entities that an item is to be linked to, each once, in order."""
        room, wanted = dict[str, int](), dict[int, None]()
        for pairs, may_be_item in ((shared, False), (related, True)):
            for name, value in pairs:
                room[name] = room.get(name, _OF_A_RELATION) - 1
                if room[name] < 0:
                    continue
                if name not in self._numbers and len(self._numbers) <= RELATIONS:
                    self._numbers[name] = min(len(self._numbers), RELATIONS - 1)
                    self.names += [name] if len(self.names) < RELATIONS else []
                if len(wanted) < LINKS:
                    wanted[self._entity(name, value, may_be_item)] = None
        return wanted

    def _linked(self, row: int) -> list[int]:
        """Return the entities that a row is linked to."""
        links = self.graph.links[row]
        linked: list[int] = links[links != NONE].tolist()
        return linked

    def _forget(self, entities: Iterable[int]) -> None:
        """Forget those of these entities that no item is linked to."""
        for entity in entities:
            if self.graph.degrees[entity] or not self._keys[entity]:
                continue
            del self._entities[self._keys[entity]]
            self._keys[entity] = _NO_KEY
            for value in self._named_by.pop(entity, ()):
                self._named[value].remove(entity)
                if not self._named[value]:
                    del self._named[value]
            self.graph.subjects[entity], self.graph.hands[entity] = NONE, 0
            self._free.append(entity)

    def _entity(self, name: str, value: str, may_be_item: bool) -> int:
        """Return the number of a relation's value."""
        key = _hashed(f"{name}\x1f{value}")
        if key in self._entities:
            return self._entities[key]
        if not self._free:
            self._free.append(len(self._keys))
            self._keys.append(_NO_KEY)
            self.graph = with_room(self.graph, 0, len(self._keys))
        entity = self._entities[key] = self._free.pop()
        self._keys[entity] = key
        self.graph.relations[entity] = self._numbers.get(name, RELATIONS - 1)
        for item_id in dict.fromkeys((value, value.removeprefix(_ITEM))) if may_be_item else ():
            itself = _hashed(item_id)
            self._name(itself, entity)
            if itself in self._rows:
                self._be(self._rows[itself], entity)
        return entity

    def _name(self, value: int, entity: int) -> None:
        """Say that an entity may be the item with this hash."""
        self._named.setdefault(value, []).append(entity)
        self._named_by.setdefault(entity, []).append(value)

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
