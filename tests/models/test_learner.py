"""The learner: what it ranks, when it learns, what it remembers, and what cannot hurt it."""

import numpy as np
import pytest

from models.columns import FEATURES, KEPT, F, Q
from models.effort import FULL, HALF, LOW
from models.learner import EVENTS_PER_STEP, Learner
from models.mixer.network import TorchBackend
from models.waiting import Waiting
from tests.models.mixer_streams import feed, fill, mean_reciprocal_rank, observe

SEED = 11


def _random() -> np.random.Generator:
    return np.random.default_rng(SEED)


def _same(one: Learner, other: Learner) -> bool:
    pairs = zip(one.snapshot().items(), other.snapshot().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and np.array_equal(x, y) for (a, x), (b, y) in pairs)


def test_an_untaught_learner_scores_by_the_initial_weights() -> None:
    """An untaught score is the features times their initial weights, and nothing else."""
    features, context = _random().random((7, F), np.float32), _random().random(Q, np.float32)
    weights = np.array([feature.initial_weight for feature in FEATURES], np.float32)
    assert np.allclose(Learner().scores(features, context), features @ weights, rtol=1e-5)


def test_learning_improves_the_ranks() -> None:
    """Where a feature tells the next item, ranks soon become much better than the untaught ones."""
    learner, random = Learner(), _random()
    ranked = feed(learner, 1_600, random)
    assert mean_reciprocal_rank(ranked[-400:]) > 1.5 * mean_reciprocal_rank(ranked[:100])
    assert learner.loss is not None


@pytest.mark.parametrize(("share", "times"), [(1.0, 1), (0.5, 2), (1 / 3, 3), (0.01, 3)])
def test_who_has_a_part_of_the_stream_replays_more_of_it(share: float, times: int) -> None:
    """The steps on replayed events are as many more as there are fewer events, but three times at most."""
    learner = Learner()
    learner.share = share
    feed(learner, 640, _random())
    before = int(learner.snapshot()["descents"][0])
    feed(learner, 160, _random())
    descents = int(learner.snapshot()["descents"][0]) - before
    assert descents == 160 // EVENTS_PER_STEP * (1 + times * FULL.replays)


def test_each_sixteen_are_ranked_by_the_weights_of_before_them() -> None:
    """The weights stand still between steps: every rank is that of the scores of before its step."""
    learner, random = Learner(), _random()
    feed(learner, 320, random)
    expected = []
    for slot in range(EVENTS_PER_STEP):
        fill(learner.waiting, slot, random)
        size, target = learner.waiting.sizes[slot], learner.waiting.targets[slot]
        scores = learner.scores(learner.waiting.features[slot, :size], learner.waiting.contexts[slot])
        first = int(learner.waiting.first_ranks[slot])
        expected.append(
            int((scores >= scores[target]).sum()) if target >= 0 else max(size + 1, first) if first else None
        )
        observe(learner, 1.0, ticket=slot)
    assert learner.scored() == list(enumerate(expected))


def test_early_scores_are_those_that_the_step_would_give() -> None:
    """Flushing ranks the waiting at once, learns nothing, and ranks none of them twice."""
    flushed, random = Learner(), _random()
    ranked = []
    for ticket in range(100):
        ranked += feed(flushed, 1, random)
        ranked += flushed.flush_scores() if ticket % 5 == 0 else []
    plain = Learner()
    expected = feed(plain, 100, _random()) + plain.flush_scores()
    assert [rank for _, rank in ranked + flushed.flush_scores()] == [rank for _, rank in expected]
    assert np.array_equal(plain.weights(), flushed.weights())


def test_events_of_one_instant_are_ranked_before_any_of_them_is_learned() -> None:
    """Forty tested together have the ranks of the weights of before them all, then teach as any others."""
    together, plain = Learner(), Learner()
    random, same = _random(), _random()
    feed(together, 325, random)
    feed(plain, 325, same)
    before = together.flush_scores()
    tested = Waiting(40)
    for slot in range(40):
        fill(tested, slot, random)
        tested.tickets[slot] = slot
    together.test(tested, 40)
    expected = []
    for slot in range(40):
        size, target = tested.sizes[slot], tested.targets[slot]
        scores = together.scores(tested.features[slot, :size], tested.contexts[slot])
        first = int(tested.first_ranks[slot])
        ahead = (
            int((scores >= scores[target]).sum()) if target >= 0 else max(size + 1, first) if first else None
        )
        expected.append((slot, ahead))
    assert together.scored() == expected
    assert len(before) == 5
    for slot in range(40):
        together.take(tested, slot)
    feed(plain, 40, same)
    assert together.scored() == []
    assert np.array_equal(together.weights(), plain.weights())


def test_an_item_that_only_the_first_stage_ranked_stands_behind_all_that_were_kept() -> None:
    """Its rank is the first stage's, but not better than one after the kept; without any it has none."""
    learner = Learner()
    learner.waiting.sizes[:3] = 20
    learner.waiting.first_ranks[:3] = (5, 90, 0)
    for ticket in range(3):
        observe(learner, 1.0, ticket)
    assert learner.flush_scores() == [(0, 21), (1, 90), (2, None)]


def test_the_same_seed_and_stream_give_the_same_learner_and_another_seed_does_not() -> None:
    """Everything a learner knows is the same to the last bit, and chance is the seed's."""
    learners = [Learner(seed=seed) for seed in (1, 1, 2)]
    for learner in learners:
        feed(learner, 500, _random())
    assert _same(learners[0], learners[1])
    assert not np.array_equal(learners[0].weights(), learners[2].weights())


def test_a_restored_learner_goes_on_exactly_as_the_saved_one() -> None:
    """With events waiting and a memory half full: the same ranks, and then the same learner."""
    saved, random = Learner(), _random()
    feed(saved, 777, random)
    restored = Learner(seed=5)
    restored.restore(saved.snapshot())
    state = random.bit_generator.state
    ahead = feed(saved, 333, random)
    random.bit_generator.state = state
    assert feed(restored, 333, random) == ahead
    assert _same(saved, restored)


def test_a_snapshot_of_another_number_of_features_is_refused() -> None:
    """Weights that do not fit are an error that says so, not a learner of nonsense."""
    arrays = Learner().snapshot()
    with pytest.raises(ValueError, match="weights, expected"):
        Learner().restore({**arrays, "parameters": arrays["parameters"][:-1]})


def test_a_step_counts_events_without_a_target_and_learns_from_the_others() -> None:
    """Sixteen events make a step whatever they hold; sixteen without a target leave the weights alone."""
    learner = Learner()
    before = learner.weights()
    for ticket in range(EVENTS_PER_STEP):
        observe(learner, 1.0, ticket)
    assert (learner.steps, learner.next_slot) == (1, 0)
    assert np.array_equal(learner.weights(), before)


def test_an_event_of_no_weight_teaches_nothing() -> None:
    """A weight of zero is heard, ranked, and forgotten."""
    learner, random = Learner(), _random()
    before = learner.weights()
    for ticket in range(EVENTS_PER_STEP):
        fill(learner.waiting, ticket, random)
        observe(learner, 0.0, ticket)
    assert len(learner.scored()) == EVENTS_PER_STEP
    assert np.array_equal(learner.weights(), before)


def test_what_weighs_more_teaches_more() -> None:
    """Of two kinds of events that contradict each other, the heavier is ranked better."""
    ranks = {}
    for heavy in (False, True):
        learner, random = Learner(), _random()
        for ticket in range(1_200):
            is_cheap = ticket % 2 == 0
            fill(learner.waiting, learner.next_slot, random, telling=5 if is_cheap else 6)
            observe(learner, 0.1 if is_cheap is heavy else 1.9, ticket)
        ranks[heavy] = mean_reciprocal_rank(
            [pair for pair in learner.scored() if pair[0] % 2 and pair[0] > 600]
        )
    assert ranks[True] > 1.1 * ranks[False]


def test_the_effort_can_be_changed_at_any_time() -> None:
    """At every place of a step; neither there nor back at full is it worse than one that was always low."""
    low, moving = Learner(effort=LOW), Learner()
    random, same = _random(), _random()
    for number in range(160):
        moving.effort = (FULL, LOW, HALF)[number % 3]
        feed(low, 15, random)
        feed(moving, 15, same)
    for effort in (LOW, FULL):
        moving.effort = effort
        after, other = feed(low, 800, random), feed(moving, 800, same)
        assert mean_reciprocal_rank(other) > 0.97 * mean_reciprocal_rank(after)


def test_low_effort_does_less_work() -> None:
    """Fewer replay steps: after the same events its optimizer has taken fewer."""
    descents = {}
    for effort in (FULL, HALF, LOW):
        learner = Learner(effort=effort)
        feed(learner, 640, _random())
        descents[effort.name] = int(learner.snapshot()["descents"][0])
    assert descents["full"] > descents["half"] > descents["low"] >= 40


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e38])
def test_no_feature_or_context_poisons_the_weights(poison: float) -> None:
    """What is not finite, or far too large, is learned from without harm, now and when it is replayed."""
    learner, random = Learner(), _random()
    feed(learner, 400, random)
    for ticket in range(EVENTS_PER_STEP):
        fill(learner.waiting, ticket, random)
        learner.waiting.features[ticket, ::3, ::2] = poison
        learner.waiting.contexts[ticket, ::2] = poison
        observe(learner, 1.0, ticket)
    learner.scored()
    ranked = feed(learner, 800, random)
    assert np.isfinite(learner.weights()).all()
    assert mean_reciprocal_rank(ranked[-300:]) > 0.3


def test_a_weight_that_is_not_finite_skips_its_step_and_is_counted() -> None:
    """The gradient of sixteen events with such a weight is dropped; the weights stay as they were."""
    learner, random = Learner(), _random()
    feed(learner, 160, random)
    before = learner.weights()
    for ticket in range(EVENTS_PER_STEP):
        fill(learner.waiting, ticket, random)
        observe(learner, float("inf"), ticket)
    assert learner.skipped == 1
    assert np.array_equal(learner.weights(), before)
    feed(learner, 800, random)
    assert learner.skipped == 1


def test_a_step_that_fails_takes_only_its_own_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error in a step the next sixteen events are ranked and learned as ever."""
    learner, random = Learner(), _random()
    with monkeypatch.context() as patch:
        patch.setattr(learner, "_descend", lambda batch: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            feed(learner, EVENTS_PER_STEP, random)
    learner.scored()
    assert len(feed(learner, EVENTS_PER_STEP, random)) == EVENTS_PER_STEP
    assert learner.steps == 1


def test_a_forgotten_user_is_in_no_array_any_more() -> None:
    """Nothing of what the user did waits or is replayed; others' events are untouched, and so is user 0."""
    learner, random = Learner(), _random()
    feed(learner, 160, random, user=7)
    feed(learner, 165, random, user=9)
    for name in ("now_ms", "lengths", "past_rows", "past_actions", "past_times_ms"):
        getattr(learner.waiting.slots, name)[:5] = 9
    before = learner.snapshot()
    stored = int((before["memory_users"] == 9).sum())
    assert learner.forget(9) == stored + 5
    assert learner.forget(9) == learner.forget(0) == 0
    after = learner.snapshot()
    theirs = before["memory_users"] == 9
    for name in ("features", "contexts", "sizes", "weights", "users"):
        column = f"memory_{name}"
        assert not after[column][theirs].any()
        assert np.array_equal(after[column][~theirs], before[column][~theirs])
        assert not after[f"waiting_{name}"][:5].any()
    for name in ("now_ms", "lengths", "past_actions", "past_times_ms"):
        assert not after[f"waiting_{name}"][:5].any()
    assert (after["waiting_past_rows"][:5] == -1).all()
    assert [rank for _, rank in feed(learner, 11, random)[:5]] == [None] * 5
    feed(learner, 400, random)
    assert np.isfinite(learner.weights()).all()


def test_torch_and_the_kernel_rank_the_same_stream_alike() -> None:
    """Both paths see the same minibatches; over a stream their ranks are the same but for rounding."""
    ranked = []
    for backend in (None, TorchBackend):
        learner = Learner(backend=backend)
        ranked.append(feed(learner, 400, _random()))
    assert [ticket for ticket, _ in ranked[0]] == [ticket for ticket, _ in ranked[1]]
    pairs = [(one, other) for (_, one), (_, other) in zip(*ranked, strict=True)]
    assert np.mean([one == other for one, other in pairs]) > 0.98
    assert all(abs((one or 0) - (other or 0)) <= 2 for one, other in pairs)


def test_a_checkpoint_of_one_path_goes_on_in_the_other() -> None:
    """What the kernel learned, torch restores, and scores as it did."""
    learner, random = Learner(), _random()
    feed(learner, 400, random)
    other = Learner(backend=TorchBackend)
    other.restore(learner.snapshot())
    features, context = random.random((KEPT, F), np.float32), random.random(Q, np.float32)
    assert np.allclose(other.scores(features, context), learner.scores(features, context), atol=1e-4)
    assert mean_reciprocal_rank(feed(other, 160, random)) > 0.3
