"""The interest model inside the recommender: in time, exact, in lists, and forgotten with its users."""

import logging

import msgspec
import numpy as np
import pytest

from models.checkpoint import decode_checkpoint, encode_checkpoint
from models.columns import KEPT
from models.interest import InterestSettings, ranks_alone
from models.waiting import Waiting
from state import MemoryStore
from state.overlay import Overlay
from streams.evaluation import evaluate_log
from streams.evaluation.outcome import UNSCORED
from streams.events import Interaction
from streams.interest import interest_of
from streams.learned import restore, snapshot
from streams.recommender import Recommender, Record
from streams.scoreboard import INTEREST, SCORER
from streams.settings import InterestLearning, Settings
from tests.streams.random_logs import random_log
from tests.streams.ranks import ranks_after_restart, ranks_of

ON = Settings(device="cpu", interest="on")
OFF = msgspec.structs.replace(ON, interest="off")


def records(log: list[Interaction]) -> list[Record]:
    """Return one record an interaction."""
    return [Record("clicks", 0, offset, [each]) for offset, each in enumerate(log)]


@pytest.mark.parametrize("batch_ties", [False, True])
def test_chunks_of_one_and_of_many_give_the_same_ranks(batch_ties: bool) -> None:
    """With the interest model, too, ranks do not depend on how the stream is cut into chunks."""
    settings = msgspec.structs.replace(ON, batch_ties=batch_ties)
    one, many = (evaluate_log(random_log(3, 400), settings, "all", chunk=chunk) for chunk in (1, 150))
    assert one.ranks[SCORER].tolist() == many.ranks[SCORER].tolist()


def test_it_changes_ranks_and_only_after_it_has_learned() -> None:
    """The first step's ranks are those of a recommender without it; later ones are not."""
    log = random_log(3, 600)
    with_it, without = (evaluate_log(log, settings, "all").ranks[SCORER] for settings in (ON, OFF))
    assert with_it[:16].tolist() == without[:16].tolist()
    assert with_it.tolist() != without.tolist()


def test_its_own_ranks_are_told_beside_those_of_the_mixture() -> None:
    """Each scored event has a rank by interest alone, or none; without the model nothing has."""
    log = random_log(3, 600)
    with_it, without = (evaluate_log(log, settings, "all") for settings in (ON, OFF))
    alone, mixed = with_it.ranks[INTEREST], with_it.ranks[SCORER]
    assert ((alone != UNSCORED) == (mixed != UNSCORED)).all()
    assert (alone <= KEPT).all()
    assert (alone != mixed).any()
    assert with_it.report()["interest_alone"]["full"]["hit@10"] == np.mean((alone > 0) & (alone <= 10))
    assert "interest_alone" not in without.report()


def test_ranks_alone_count_ties_against_the_model() -> None:
    """A rank is one more than the other kept items whose logit is at least the target's; others have none."""
    waiting = Waiting(3)
    waiting.features[:, :5, -2] = [3.0, 1.0, 2.0, 2.0, 9.0]
    waiting.sizes[:], waiting.targets[:] = 4, (2, 0, -1)
    assert ranks_alone(waiting, 0, 3) == [3, 1, None]


@pytest.mark.parametrize("stop_at", [0, 250])
def test_a_restored_recommender_goes_on_exactly(stop_at: int) -> None:
    """Saved, loaded and continued, it gives the ranks as if nothing had been."""
    every = records(random_log(5, 400))
    expected, found = ranks_after_restart(ON, every, stop_at)
    assert found == expected


def test_a_checkpoint_serves_with_the_model_and_without_it() -> None:
    """What was learned with it goes on without it, and the other way round."""
    one = Recommender(ON)
    one.step(records(random_log(5, 300)), Overlay(MemoryStore()))
    without, again = Recommender(OFF), Recommender(ON)
    restore(without, *snapshot(one))
    assert without.learner.interest is None
    assert without.learner.steps == one.learner.steps > 0
    restore(again, *snapshot(without))
    assert again.learner.interest is not None
    assert again.learner.interest.steps == 0
    np.testing.assert_array_equal(again.ranker.weights, one.ranker.weights)


def test_a_checkpoint_serves_by_another_optimizer(caplog: pytest.LogCaptureFixture) -> None:
    """Started again with other settings of how it learns, it keeps its weights, says so, and goes on."""
    every = records(random_log(5, 500))
    caplog.set_level(logging.INFO, "models")
    one, overlay, store = Recommender(ON), Overlay(MemoryStore()), MemoryStore()
    one.step(every[:400], overlay)
    sgd = InterestLearning(optimizer="sgd", item_optimizer="adamw", item_learning_rate=0.01)
    other = Recommender(msgspec.structs.replace(ON, interest_learning=sgd))
    restore(other, *decode_checkpoint(encode_checkpoint(*snapshot(one))))
    assert sum("remembers nothing yet" in record.message for record in caplog.records) == 2
    interest, before = other.learner.interest, one.learner.interest
    assert interest is not None
    assert before is not None
    theirs, mine = before.snapshot(), interest.snapshot()
    np.testing.assert_array_equal(mine["parameters"][0], theirs["parameters"][0])
    assert not mine["parameters"][1:].any()
    store.write(overlay.changes())
    assert any(rank for _, _, rank in ranks_of(other, every[400:], Overlay(store)))
    assert interest.steps > before.steps
    assert interest.skipped == 0


def test_the_settings_reach_the_model() -> None:
    """What is set of how it learns is what the model learns by; the defaults are the model's own."""
    learning = InterestLearning("sgd", "adamw", 0.3, 0.4, 0.5, 6.0, may_rest=False)
    default, model = (
        interest_of(ON, "cpu"),
        interest_of(msgspec.structs.replace(ON, interest_learning=learning), "cpu"),
    )
    assert default is not None
    assert model is not None
    assert default.settings == InterestSettings()
    theirs = model.settings
    assert (theirs.optimizer, theirs.row_optimizer) == ("sgd", "adamw")
    assert (theirs.learning_rate, theirs.row_learning_rate) == (0.3, 0.4)
    assert (theirs.l2, theirs.longest_gradient, theirs.may_rest) == (0.5, 6.0, False)


def test_lists_know_it_and_depend_on_nobody_else_who_is_asked_for() -> None:
    """A user's list is the same alone and together with others, and is another than without the model."""
    every, overlay = records(random_log(5, 600)), Overlay(MemoryStore())
    recommender = Recommender(ON)
    recommender.step(every, overlay)
    users = [overlay.user(user) for user in sorted({line.user_id for r in every for line in r.interactions})]
    together = recommender.recommend(users, 0)
    alone = [recommender.recommend([user], 0)[0] for user in users]
    assert [each.items for each in together] == [each.items for each in alone]
    plain = Recommender(OFF)
    plain.step(every, theirs := Overlay(MemoryStore()))
    others = plain.recommend([theirs.user(user.user_id) for user in users], 0)
    assert [each.items for each in others] != [each.items for each in together]
