"""A model that goes on over other columns knows what it knew."""

import numpy as np

from models.catalog import Catalog
from models.columns import FEATURES, KEPT, F, Q, features_of
from models.content import Content
from models.counts import Counts
from models.graph import Relations
from models.learner import EVENTS_PER_STEP, Learner
from models.ranking import Ranker
from tests.models.mixer_streams import observe

WIDER = features_of(has_content=True)


def taught(steps: int) -> Learner:
    """Return a learner after some steps on what is random."""
    learner, random = Learner(), np.random.default_rng(2)
    for number in range(steps * EVENTS_PER_STEP + 5):
        slot = learner.next_slot
        learner.waiting.features[slot] = random.random((KEPT, F), np.float32)
        learner.waiting.contexts[slot] = random.random(Q, np.float32)
        learner.waiting.sizes[slot], learner.waiting.targets[slot] = KEPT, number % KEPT
        observe(learner, 1.0, ticket=number)
    return learner


def test_a_wider_mixer_scores_as_before_what_the_new_columns_say_nothing_of() -> None:
    """With new columns at zero every score stays, and so do the events that wait and are remembered."""
    learner, random = taught(30), np.random.default_rng(3)
    features, context = random.random((20, F), np.float32), random.random(Q, np.float32)
    before, waiting = learner.scores(features, context), learner.waiting.features[:5].copy()
    learner.use_columns(WIDER)
    wide = np.concatenate([features, np.zeros((20, len(WIDER) - F), np.float32)], axis=1)
    np.testing.assert_allclose(learner.scores(wide, context), before, rtol=1e-5)
    np.testing.assert_array_equal(learner.waiting.features[:5, :, :F], waiting)
    assert (learner.steps, learner.next_slot) == (30, 5)


def test_back_over_the_old_columns_everything_is_as_it_was() -> None:
    """Widened and narrowed again, a learner has the parameters, the moments and the memory of before."""
    learner = taught(30)
    before = learner.snapshot()
    learner.use_columns(WIDER)
    learner.use_columns(FEATURES)
    for name, array in learner.snapshot().items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


def test_a_ranker_keeps_its_weights_when_a_catalogue_turns_up() -> None:
    """The first stage's weights of the old columns stay, those of the new ones are the initial ones."""
    catalog = Catalog()
    ranker = Ranker(catalog, Counts(catalog, slots=1 << 10))
    ranker.weights[:] = np.arange(F)
    ranker.use_content(Content(), Relations())
    assert ranker.weights[:F].tolist() == list(range(F))
    assert ranker.weights[F:].tolist() == [feature.initial_weight for feature in WIDER[F:]]
