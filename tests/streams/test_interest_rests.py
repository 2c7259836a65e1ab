"""An interest model that earns nothing rests: what is asked of it then, and that all of it stays exact."""

import msgspec
import pytest

from models import trial as trials
from models.effort import FULL, HALF
from state import MemoryStore
from state.overlay import Overlay
from streams.evaluation import Listing, evaluate_log
from streams.recommender import Recommender
from streams.scoreboard import INTEREST, SCORER
from streams.settings import InterestLearning, Settings
from tests.streams.random_logs import random_log
from tests.streams.ranks import ranks_after_restart, ranks_of
from tests.streams.test_content_learned import log
from tests.streams.test_graph_learned import ALL
from tests.streams.test_interest_learned import records

ON = Settings(device="cpu", interest="on", encoder="off")


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trials be short, and nothing be worth enough."""
    monkeypatch.setattr(trials, "ADAPTS", 4)
    monkeypatch.setattr(trials, "ASKS_AGAIN", 12)
    monkeypatch.setattr(trials, "_LOOKS", 3)
    monkeypatch.setattr(trials, "LEAST_NATS", 100.0)


def test_what_rests_is_not_asked_and_learns_less() -> None:
    """At rest events have no rank by interest alone, and one step in four teaches; then it is asked again."""
    every, users = records(random_log(5, 700)), Overlay(MemoryStore())
    recommender = Recommender(ON)
    told = ranks_of(recommender, every, users)
    alone = {number for number, scorer, _ in told if scorer == INTEREST}
    scored = [number for number, scorer, _ in told if scorer == SCORER]
    asked = [number in alone for number in scored]
    trial, interest = recommender.learner.trial, recommender.learner.interest
    assert trial is not None
    assert trial.worth is not None
    assert interest is not None
    # 5 steps to adapt, 3 to compare, 12 at rest, and again.
    assert all(asked[: 16 * 8])
    assert not any(asked[16 * 8 : 16 * 20])
    assert all(asked[16 * 20 : 16 * 28])
    assert interest.steps < recommender.learner.steps / 2 * 0.7


def test_one_that_may_not_rest_never_does() -> None:
    """Whoever sets may_rest = false has it asked at every event, and pays for no trial."""
    settings = msgspec.structs.replace(ON, interest_learning=InterestLearning(may_rest=False))
    told = evaluate_log(random_log(5, 500), settings, "all")
    assert (told.ranks[INTEREST] != -1).sum() == (told.ranks[SCORER] != -1).sum()
    assert "interest_worth" not in told.report()
    resting = evaluate_log(random_log(5, 500), ON, "all").report()
    assert resting["interest_worth"]["is_resting"] in (True, False)
    assert resting["interest_worth"]["events"] > 0


def test_chunks_of_one_and_of_many_give_the_same_ranks() -> None:
    """When it rests follows from the events alone."""
    one, many = (evaluate_log(random_log(3, 400), ON, "all", chunk=chunk) for chunk in (1, 150))
    for scorer in (SCORER, INTEREST):
        assert one.ranks[scorer].tolist() == many.ranks[scorer].tolist()


@pytest.mark.parametrize("stop_at", [50, 110, 200])
def test_a_restored_recommender_goes_on_exactly(stop_at: int) -> None:
    """Saved while it adapts, is compared or rests, it gives the ranks as if nothing had been."""
    every = records(random_log(5, 500))
    expected, found = ranks_after_restart(ON, every, stop_at)
    assert found == expected


def test_a_catalogue_that_turns_up_leaves_a_verdict_and_ends_no_rest() -> None:
    """Other columns in the mixer begin a trial under way anew, and change nothing of what was found out."""
    recommender, users = Recommender(ON), Overlay(MemoryStore())
    recommender.step(records(log(200)), users)
    before = recommender.learner.trial
    assert before is not None
    assert before.is_resting
    recommender.assortment.enlist(ALL[0])
    after = recommender.learner.trial
    assert after is not None
    assert after is not before
    assert (after.is_resting, after.worth) == (True, before.worth)
    recommender.step(records(log(500))[200:], users)
    assert recommender.learner.steps > 20


def test_at_half_effort_a_trial_begins_anew() -> None:
    """What is compared is compared in one piece: where interest was not asked meanwhile, nothing counts."""
    recommender, users, every = Recommender(ON), Overlay(MemoryStore()), records(random_log(5, 400))
    recommender.step(every[: 16 * 7], users)
    recommender.effort = HALF
    recommender.step(every[16 * 7 : 16 * 8], users)
    recommender.effort = FULL
    recommender.step(every[16 * 8 : 16 * 12], users)
    trial = recommender.learner.trial
    assert trial is not None
    assert trial.worth is None
    recommender.step(every[16 * 12 : 16 * 20], users)
    assert trial.worth is not None


def test_what_is_listed_is_ranked_at_rest() -> None:
    """Lists and evaluations go on while it rests, with a catalogue, too."""
    told = evaluate_log(log(350), ON, "all", listing=Listing(ALL))
    assert (told.ranks[SCORER] > 0).mean() > 0.1
