"""The network over the graph: what it hears, what it learns, and that a step has a fixed cost."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.arrays import Rows
from models.catalog import Catalog
from models.content import Content
from models.counts import Counts
from models.graph import Relations
from models.graph.encoder import LEARNED, REFRESHED, GraphEncoder, Neighbourhoods
from models.graph.layout import GraphKind
from models.graph.sampling import as_data, draw
from tests.models.histories import NOW_MS, history

D, ITEMS = 8, 60
KINDS: list[GraphKind] = ["sage", "gcn", "gat"]
_RANDOM = np.random.default_rng(1)
_TASTES = _RANDOM.standard_normal((3, D)).astype(np.float32)  # of three brands
ALONE = torch.from_numpy(_TASTES[np.arange(ITEMS) % 3])  # [ITEMS, D]


def _neighbourhoods() -> Neighbourhoods:
    """Return items of three brands in turn; nobody has taken any."""
    catalog, relations, content = Catalog(), Relations(), Content()
    for row in range(ITEMS):
        catalog.admit(f"i{row}")
        relations.write(row, f"i{row}", [("brand", f"b{row % 3}")])
    counts = Counts(catalog, slots=1 << 12)
    counts.reserve()
    content.reserve(ITEMS)
    return Neighbourhoods(relations, counts, content)


def _encoder(kind: GraphKind = "sage", of: Neighbourhoods | None = None) -> GraphEncoder:
    return GraphEncoder(kind, D, of or _neighbourhoods(), "cpu", seed=3)


def _alone(rows: Rows) -> Tensor:
    return ALONE[torch.from_numpy(rows.astype(np.int64))]


def _teach(encoder: GraphEncoder, steps: int, asked: Rows) -> float:
    """Pull the vectors of some items towards their brands' tastes; return the squared distance left."""
    goals = ALONE[torch.from_numpy(asked.astype(np.int64))]
    for _ in range(steps):
        away = torch.from_numpy(encoder.vectors(asked)) - goals
        encoder.learn(asked, away / len(asked), asked[:, None], asked[:2], _alone)
    return float(((encoder.vectors(asked) - goals.numpy()) ** 2).mean())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_learns_what_neighbours_say(kind: GraphKind) -> None:
    """What an item's brand tells becomes its vector, and that of items that were never learned from."""
    encoder, asked = _encoder(kind), np.arange(30, dtype=np.int32)
    before = _teach(encoder, 1, asked)
    assert _teach(encoder, 150, asked) < 0.3 * before
    others = np.arange(30, ITEMS, dtype=np.int32)
    assert not encoder.vectors(others).any()
    nothing = torch.zeros(len(asked), D)
    encoder.learn(asked, nothing, others, asked[:0], _alone)
    told = encoder.vectors(others)
    goals = ALONE[30:].numpy()
    assert ((told - goals) ** 2).mean() < 0.5 * (goals**2).mean()


def test_a_neighbourhood_is_what_is_shared_what_goes_together_and_what_reads_alike() -> None:
    """The sampled graph has the brand, other items of it, the neighbour by interactions and the like text."""
    of = _neighbourhoods()
    for _ in range(4):
        of.counts.count(history([7]), 20, NOW_MS)
    of.content.put_text(7, 0)
    of.content.put_text(33, 1)
    near = np.array([[1] + [-1] * 19, [0] + [-1] * 19], np.int32)
    of.content.put_neighbours(np.arange(2, dtype=np.int32), near, np.ones((2, 20), np.float32))
    of.content.tables.texts.leaders[0, 1, 0] = 33
    drawn = draw(of.relations.graph, of.counts.tables, of.content.tables, np.array([7], np.int32), seed=5)
    assert drawn.entities[0, :2].tolist() == [1, -1]
    members = drawn.members[0, 0]
    assert len(set(members.tolist())) == len(members)
    assert all(row % 3 == 1 and row != 7 for row in members)
    assert drawn.goes_with[0, :2].tolist() == [20, -1]
    assert drawn.reads_like[0, :2].tolist() == [33, -1]
    data, items, entities = as_data(of.relations.graph, np.array([7], np.int32), drawn)
    assert items[0] == 7
    assert set(items[1:]) == {*members.tolist(), 20, 33}
    assert entities.tolist() == [1]
    counts = {kind[1]: data[kind].edge_index.shape[1] for kind in data.edge_types}
    assert counts == {"in": len(members), "of": 1, "goes_with": 1, "reads_like": 1}
    sources, targets = data["item", "goes_with", "item"].edge_index
    assert items[sources.numpy()].tolist() == [20]
    assert targets.tolist() == [0]


def test_a_step_works_out_what_waited_longest_and_no_more_than_its_share() -> None:
    """However many items are asked about, so many are worked out; what has changed comes first."""
    catalog, relations, content = Catalog(), Relations(), Content()
    many = 4 * (LEARNED + REFRESHED)
    for row in range(many):
        catalog.admit(f"i{row}")
        relations.write(row, f"i{row}", [("brand", f"b{row % 3}")])
    counts = Counts(catalog, slots=1 << 12)
    counts.reserve()
    content.reserve(many)
    encoder, every = _encoder(of=Neighbourhoods(relations, counts, content)), np.arange(many, dtype=np.int32)
    first, nothing = np.zeros(1, np.int32), torch.zeros(1, D)

    def alone(rows: Rows) -> Tensor:
        return torch.ones(len(rows), D)

    done: list[set[int]] = []
    for _ in range(2):
        encoder.learn(first, nothing, every, first[:0], alone)
        done.append(set(np.flatnonzero(encoder.vectors(every).any(1)).tolist()))
    assert len(done[0]) == REFRESHED
    assert len(done[1]) == 2 * REFRESHED
    before = encoder.vectors(every)[5]
    relations.write(5, "i5", [("colour", "red")])
    encoder.change(5)
    encoder.learn(first, nothing, every, first[:0], alone)
    assert not np.array_equal(before, encoder.vectors(every)[5])


def test_a_snapshot_goes_on_exactly_and_another_kind_begins_anew() -> None:
    """Restored, it takes the same steps; what another kind of network learned is left aside."""
    one, asked = _encoder(), np.arange(ITEMS, dtype=np.int32)
    _teach(one, 20, asked)
    other, gat = _encoder(), _encoder("gat")
    for each in (other, gat):
        each.restore(one.snapshot())
    other.relations.restore(one.relations.snapshot())
    assert _teach(one, 5, asked) == _teach(other, 5, asked)
    assert np.array_equal(one.vectors(asked), other.vectors(asked))
    assert gat.steps == 0
    broken = one.snapshot() | {"learned": np.zeros((2, 3), np.float32)}
    with pytest.raises(ValueError, match="graph network"):
        other.restore(broken)


def test_a_gradient_that_is_not_finite_leaves_the_network_as_it_was() -> None:
    """One bad step does not spoil what was learned."""
    encoder, asked = _encoder(), np.arange(6, dtype=np.int32)
    _teach(encoder, 5, asked)
    before = encoder.snapshot()["learned"]
    encoder.learn(asked, torch.full((6, D), torch.inf), asked, asked[:0], _alone)
    assert np.array_equal(before[0], encoder.snapshot()["learned"][0])  # the weights
    assert np.isfinite(encoder.vectors(asked)).all()
