"""Sampled neighbourhoods of a few items: what they share, with whom, who goes with them, what reads alike.

As in GraphSAGE (Hamilton, Ying, Leskovec 2017, arXiv:1706.02216) a fixed number of neighbours is drawn, so a
step costs the same on every catalogue.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.arrays import NONE, Floats, Rows
from models.compiled import compiled
from models.content.layout import ContentTables
from models.counts.layout import OFFSET, SIZE, TOGETHER, Tables
from models.graph.layout import GOES, IN, LINKS, MEMBERS, OF, READS, Graph
from models.graph.network import HeteroData

ENTITIES, SHARING, TOGETHER_WITH, ALIKE = 8, 6, 6, 6
"""Drawn of an item: entities, members of each; neighbours by interactions and by texts, the strongest."""
_LEAST_TOGETHER = np.float32(2.0)  # a single user's history is no neighbourhood


class Drawn(NamedTuple):
    """Sampled edges, as rows and entities of the graph. T: items whose neighbourhoods they are."""

    entities: Rows  # [T, ENTITIES], NONE for none, and so are the others
    members: Rows  # [T, ENTITIES, SHARING]
    goes_with: Rows  # [T, TOGETHER_WITH]
    reads_like: Rows  # [T, ALIKE]


def draw(graph: Graph, counts: Tables, content: ContentTables, rows: Rows, seed: int) -> Drawn:
    """Return sampled neighbourhoods of int32[T] rows; the same seed draws the same."""
    drawn = Drawn(
        np.full((len(rows), ENTITIES), NONE, np.int32),
        np.full((len(rows), ENTITIES, SHARING), NONE, np.int32),
        np.full((len(rows), TOGETHER_WITH), NONE, np.int32),
        np.full((len(rows), ALIKE), NONE, np.int32),
    )
    strengths = np.zeros(max(TOGETHER_WITH, ALIKE), np.float32)
    _draw(graph, counts, content, rows, np.array([seed | 1], np.uint64), strengths, drawn)
    return drawn


def as_data(graph: Graph, rows: Rows, drawn: Drawn) -> tuple[HeteroData, Rows, Rows]:
    """Return the neighbourhoods as one graph, and which items int32[n] and entities int32[m] its nodes are.

    The items are `rows` first, each once, then all others.
    """
    target, place = np.nonzero(drawn.entities >= 0)
    linked = drawn.entities[target, place]  # of every edge between an item and an entity
    entities, numbers = np.unique(linked, return_inverse=True)
    at, slot, of = np.nonzero(drawn.members >= 0)
    positions = np.zeros(drawn.entities.shape, np.int64)
    positions[target, place] = numbers
    goes, reads = np.nonzero(drawn.goes_with >= 0), np.nonzero(drawn.reads_like >= 0)
    sources = [drawn.members[at, slot, of], drawn.goes_with[goes], drawn.reads_like[reads]]
    items, nodes = _numbered(rows, np.concatenate(sources))
    ends = np.cumsum([len(each) for each in sources])[:-1]
    sharing, going, reading = np.split(nodes, ends)
    data = HeteroData()
    data["item"].num_nodes, data["entity"].num_nodes = len(items), len(entities)
    member_edges = np.unique(np.stack([sharing, positions[at, slot]]), axis=1)  # [2, edges]
    edges = {IN: member_edges, OF: np.stack([numbers, target])}
    edges |= {GOES: np.stack([going, goes[0]]), READS: np.stack([reading, reads[0]])}
    for kind, index in edges.items():
        data[kind].edge_index = torch.from_numpy(np.ascontiguousarray(index, np.int64))
    return data, items, entities


def _numbered(rows: Rows, others: Rows) -> tuple[Rows, NDArray[np.int64]]:
    """Return the distinct items, `rows` first, and the number of each of the others."""
    more, inverse = np.unique(others, return_inverse=True)
    order = np.argsort(rows)
    found = np.searchsorted(rows, more, sorter=order)
    found = np.minimum(found, len(rows) - 1)
    is_row = rows[order[found]] == more
    numbers = np.where(is_row, order[found], len(rows) + np.cumsum(~is_row) - 1)
    return np.concatenate([rows, more[~is_row]]), numbers[inverse]


@compiled
def _draw(
    graph: Graph,
    counts: Tables,
    content: ContentTables,
    rows: Rows,
    state: NDArray[np.uint64],
    strengths: Floats,
    drawn: Drawn,
) -> None:
    for target in range(len(rows)):
        row = rows[target]
        if row < len(graph.links):
            _draw_entities(graph, row, state, drawn.entities[target])
            for place in range(ENTITIES):
                entity = drawn.entities[target, place]
                if entity != NONE:
                    _draw_members(graph, entity, row, state, drawn.members[target, place])
        if row < len(counts.facts):
            _take_neighbours(counts, row, drawn.goes_with[target], strengths)
        if row < content.texts.values.shape[1]:
            _take_alike(content, row, drawn.reads_like[target])


@compiled
def _draw_entities(graph: Graph, row: int, state: NDArray[np.uint64], chosen: Rows) -> None:
    """Draw entities of an item without repetition: reservoir sampling (Vitter 1985)."""
    for place in range(LINKS):
        if graph.links[row, place] == NONE:
            break
        at = place if place < ENTITIES else _below(state, place + 1)
        if at < ENTITIES:
            chosen[at] = graph.links[row, place]


@compiled
def _draw_members(graph: Graph, entity: int, row: int, state: NDArray[np.uint64], chosen: Rows) -> None:
    """Draw other members of an entity without repetition."""
    seen = 0
    for place in range(MEMBERS):
        member = graph.members[entity, place]
        if member == NONE:
            break
        if member == row:
            continue
        seen += 1
        at = seen - 1 if seen <= SHARING else _below(state, seen)
        if at < SHARING:
            chosen[at] = member


@compiled
def _take_neighbours(counts: Tables, row: int, chosen: Rows, strengths: Floats) -> None:
    """Take the items that were oftenest in one history with an item."""
    offset, size = counts.facts[row, OFFSET], counts.facts[row, SIZE]
    taken = 0
    for slot in range(offset, offset + size):
        strength = counts.pairs[slot, TOGETHER]
        if strength < _LEAST_TOGETHER:
            continue
        if taken == TOGETHER_WITH and strength <= strengths[TOGETHER_WITH - 1]:
            continue
        place = min(taken, TOGETHER_WITH - 1)
        while place > 0 and strengths[place - 1] < strength:
            strengths[place], chosen[place] = strengths[place - 1], chosen[place - 1]
            place -= 1
        strengths[place], chosen[place] = strength, counts.neighbours[slot]
        taken = min(taken + 1, TOGETHER_WITH)


@compiled
def _take_alike(content: ContentTables, row: int, chosen: Rows) -> None:
    """Take the best known item of each of the texts nearest to an item's."""
    text = content.texts.values[0, row]
    if text == NONE:
        return
    taken = 0
    for at in range(content.near.shape[1]):
        other = content.near[text, at]
        if other == NONE or taken == ALIKE:
            break
        member = content.texts.leaders[0, other, 0]
        if member != NONE and member != row:
            chosen[taken] = member
            taken += 1


@compiled
def _below(state: NDArray[np.uint64], bound: int) -> np.int64:
    """Return a random number below a bound: xorshift64 (Marsaglia 2003)."""
    number = state[0]
    number ^= number << np.uint64(13)
    number ^= number >> np.uint64(7)
    number ^= number << np.uint64(17)
    state[0] = number
    return np.int64((number >> np.uint64(11)) % np.uint64(bound))
