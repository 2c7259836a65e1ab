"""Where the models compute: what is chosen, what is refused, and that a whole recommender runs there."""

import msgspec
import pytest

from state import MemoryStore
from state.overlay import Overlay
from streams.device import device_of
from streams.errors import ConfigurationError
from streams.learned import restore, snapshot
from streams.recommender import Recommender
from streams.settings import Settings
from tests.models import elsewhere
from tests.models.elsewhere import ELSEWHERE
from tests.streams.ranks import Told, ranks_of
from tests.streams.test_content_learned import ITEMS, log, records
from tests.streams.test_graph_learned import listed

ON = Settings(device="cpu", interest="on", encoder="ngrams")


@pytest.mark.parametrize(
    ("has_gpu", "wanted", "device"),
    [(True, "auto", "cuda"), (True, "cpu", "cpu"), (True, "cuda", "cuda"), (False, "auto", "cpu")],
)
def test_a_gpu_is_chosen_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, has_gpu: bool, wanted: str, device: str
) -> None:
    """With auto a GPU is taken, and a CPU where there is none."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: has_gpu)
    assert device_of(msgspec.structs.replace(ON, device=wanted)) == device


def test_a_gpu_that_is_demanded_and_not_there_is_a_wrong_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sets device = "cuda" is told before anything has started that torch finds none, and what to do."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"finds no GPU.*freshet doctor"):
        Recommender(msgspec.structs.replace(ON, device="cuda"))


@pytest.mark.parametrize("graph", ["sage", "gcn", "gat"])
def test_a_whole_recommender_runs_elsewhere_as_it_does_here(
    monkeypatch: pytest.MonkeyPatch, graph: str
) -> None:
    """With interest, graph and paths elsewhere, ranks, lists and what was learned are those of a CPU."""
    settings = msgspec.structs.replace(ON, graph=graph)
    here = _stepped(settings)
    with elsewhere.device():
        monkeypatch.setattr("streams.recommender.device_of", lambda _: ELSEWHERE)
        there = _stepped(settings)
    assert there[0].device == ELSEWHERE
    assert there[1:] == here[1:]
    interest = there[0].learner.interest
    assert interest is not None
    assert interest.steps > 5
    assert interest.graph is not None
    assert interest.graph.steps > 0


def test_what_was_learned_elsewhere_goes_on_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a worker with a GPU is as good on a machine without one."""
    taken = records(log(500))
    with elsewhere.device(), monkeypatch.context() as patched:
        patched.setattr("streams.recommender.device_of", lambda _: ELSEWHERE)
        there, users = _listed(ON), Overlay(MemoryStore())
        there.step(taken[:300], users)
        saved, store = snapshot(there), MemoryStore()
        store.write(users.changes())
        ranks = ranks_of(there, taken[300:], users)
    here = Recommender(ON)
    restore(here, *saved)
    _list_all(here)
    assert ranks_of(here, taken[300:], Overlay(store)) == ranks


def _listed(settings: Settings) -> Recommender:
    """Return a recommender that knows the catalogue."""
    recommender = Recommender(settings)
    _list_all(recommender)
    return recommender


def _list_all(recommender: Recommender) -> None:
    for number in range(ITEMS):
        recommender.assortment.enlist(listed(number))


def _stepped(settings: Settings) -> tuple[Recommender, list[Told], list[list[str]]]:
    """Return a recommender that applied a log, the ranks that it told, and lists of some users."""
    recommender, overlay = _listed(settings), Overlay(MemoryStore())
    told = ranks_of(recommender, records(log(350)), overlay)
    users = [f"u{number}" for number in range(40)]
    overlay.load(users)
    lists = recommender.recommend([overlay.user(user) for user in users], 0)
    return recommender, told, [[item.item_id for item in made.items] for made in lists]
