"""The arrays of the catalogue as a graph: which entities each item is linked to, which items an entity has.

An entity is a value of a relation: this brand, that director, year 1995. Both sides are bounded, so what an
item costs depends neither on how much is said of it nor on how many items share it.
"""

from typing import Literal, NamedTuple

import numpy as np

from models.arrays import NONE, Rows, Times

LINKS = 24
"""Entities that an item is linked to, at most."""
MEMBERS = 16
"""Items that are known of an entity: those that were acted on last, before that those listed first."""
RELATIONS = 24
"""Relations that are told apart; all further ones count as the last."""

GraphKind = Literal["sage", "gcn", "gat"]

Edge = tuple[str, str, str]
IN: Edge = ("item", "in", "entity")
OF: Edge = ("entity", "of", "item")
GOES: Edge = ("item", "goes_with", "item")
READS: Edge = ("item", "reads_like", "item")
EDGES = (IN, OF, GOES, READS)
"""The kinds of edges of a neighbourhood."""


class Graph(NamedTuple):
    """R: items, E: entities."""

    links: Rows  # [R, LINKS], entities, NONE behind the last
    relations: Rows  # [E], the relation of each entity
    subjects: Rows  # [E], the item that the entity is itself, NONE if it is none
    degrees: Rows  # [E], how many items are linked to it
    members: Rows  # [E, MEMBERS], some of these, NONE behind the last
    hands: Times  # [E], which of them gives way next


def empty_graph(rows: int, entities: int) -> Graph:
    """Return a graph without links, with room for so many."""
    return Graph(
        links=np.full((rows, LINKS), NONE, np.int32),
        relations=np.zeros(entities, np.int32),
        subjects=np.full(entities, NONE, np.int32),
        degrees=np.zeros(entities, np.int32),
        members=np.full((entities, MEMBERS), NONE, np.int32),
        hands=np.zeros(entities, np.int64),
    )


def with_room(graph: Graph, rows: int, entities: int) -> Graph:
    """Return it with room for so many items and entities, by doubling."""
    has_rows, has_entities = len(graph.links), len(graph.degrees)
    if rows <= has_rows and entities <= has_entities:
        return graph
    larger = empty_graph(_doubled(has_rows, rows), _doubled(has_entities, entities))
    for name, theirs in graph._asdict().items():
        getattr(larger, name)[: len(theirs)] = theirs
    return larger


def _doubled(size: int, least: int) -> int:
    while size < least:
        size *= 2
    return size
