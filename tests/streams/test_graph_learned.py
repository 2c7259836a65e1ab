"""The graph network inside the recommender: exact, whatever the chunks, and beyond a restart."""

import subprocess
import sys

import msgspec
import pytest

from models.checkpoint import decode_checkpoint, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.evaluation import Listing, evaluate_log
from streams.events import ItemListed
from streams.learned import restore, snapshot
from streams.recommender import Recommender
from streams.scoreboard import SCORER
from streams.settings import Settings
from tests.streams.test_content_learned import ITEMS, log, records

ON = Settings(device="cpu", interest="on", encoder="ngrams")


def listed(number: int) -> ItemListed:
    """Return an item that shares a category, a maker, and a relation with others."""
    return ItemListed(
        f"i{number}",
        title=f"Thing {number % 30}",
        categories=[f"c{number % 12}", f"d{number % 4}"],
        brand=f"b{number % 5}",
        relations=[("goes with", f"i{number // 2}")],
    )


ALL = [listed(number) for number in range(ITEMS)]


@pytest.mark.parametrize("graph", ["sage", "gat"])
def test_chunks_of_one_and_of_many_give_the_same_ranks(graph: str) -> None:
    """With a graph network, too, ranks do not depend on how the stream is cut into chunks."""
    settings = msgspec.structs.replace(ON, graph=graph)
    one, many = (
        evaluate_log(log(350), settings, "all", chunk=chunk, listing=Listing(ALL)) for chunk in (1, 400)
    )
    assert one.ranks[SCORER].tolist() == many.ranks[SCORER].tolist()


def test_a_restored_recommender_goes_on_exactly() -> None:
    """Saved, loaded, told the catalogue again in another order, it gives the ranks as if nothing had been."""
    taken = records(log(500))
    one, overlay, store = Recommender(ON), Overlay(MemoryStore()), MemoryStore()
    for item in ALL:
        one.assortment.enlist(item)
    one.step(taken[:300], overlay)
    other = Recommender(ON)
    restore(other, *decode_checkpoint(encode_checkpoint(*snapshot(one))))
    store.write(overlay.changes())
    for item in reversed(ALL):
        other.assortment.enlist(item)
    told: tuple[list[object], list[object]] = ([], [])
    for recommender, users, ranks in ((one, overlay, told[0]), (other, Overlay(store), told[1])):
        recommender.scoreboard.on_rank = lambda *rank, into=ranks: into.append(rank)
        recommender.step(taken[300:], users)
        recommender.scoreboard.take_waiting()
    assert told[0] == told[1]
    assert one.learner.interest is not None
    assert one.learner.interest.graph is not None
    assert one.learner.interest.graph.steps > 0


def test_it_changes_ranks() -> None:
    """With the network ranks are others than without it."""
    one, other = (
        evaluate_log(log(500), settings, "all", listing=Listing(ALL)).ranks[SCORER].tolist()
        for settings in (ON, msgspec.structs.replace(ON, graph="off"))
    )
    assert one != other


def test_another_kind_of_network_takes_over_a_checkpoint() -> None:
    """What else was learned goes on when the setting chooses another network, or none."""
    one, overlay = Recommender(ON), Overlay(MemoryStore())
    for item in ALL:
        one.assortment.enlist(item)
    one.step(records(log(300)), overlay)
    saved = encode_checkpoint(*snapshot(one))
    for graph in ("gcn", "off"):
        other = Recommender(msgspec.structs.replace(ON, graph=graph))
        restore(other, *decode_checkpoint(saved))
        assert other.learner.interest is not None
        assert one.learner.interest is not None
        assert other.learner.interest.steps == one.learner.interest.steps > 0


def test_what_takes_long_to_load_is_loaded_before_the_stream_begins() -> None:
    """A worker that will need the graph's library loads it when it starts, and nobody else does."""
    script = """
import sys
from streams.recommender import Recommender
from streams.settings import Settings
for interest, graph, content in (("off", "sage", True), ("on", "off", True), ("on", "sage", False)):
    Recommender(Settings(device="cpu", interest=interest, graph=graph, content=content)).assortment.prepare()
assert "torch_geometric" not in sys.modules
Recommender(Settings(device="cpu", interest="on")).assortment.prepare()
assert "torch_geometric" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
