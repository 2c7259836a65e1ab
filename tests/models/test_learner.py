"""Online learning: ranks before learning, whatever the chunks; steps every 16 events."""

import numpy as np
import pytest
import torch

from models.catalog import Catalog
from models.counts import Counts
from models.learner import EVENTS_PER_STEP, Learner
from models.ranking import Query, Ranker

TARGET = 0  # the row that queries below are about, where it is among the candidates


def learner(seed: int = 0) -> tuple[Ranker, Learner]:
    """Return a learner on the CPU, and its ranker."""
    ranker = Ranker(Catalog(), Counts())
    return ranker, Learner(ranker, device="cpu", seed=seed)


def random_queries(seed: int, count: int, features: int, largest: int = 60) -> list[Query]:
    """Return queries of 1 to `largest` candidates, row 0 among most; several candidates of each are equal."""
    random = np.random.default_rng(seed)
    queries = []
    for _ in range(count):
        size = int(random.integers(1, largest))
        values = random.normal(size=(features, size)).astype(np.float32)
        values[:, size // 2 :] = values[:, : size - size // 2]
        rows = random.permutation(size + 1 + size // 4).astype(np.int32)[:size]
        queries.append(Query(rows, values.T))
    return queries


def ranks_in_chunks(queries: list[Query], chunk: int) -> tuple[list[int | None], np.ndarray, int]:
    """Observe the queries, asking for scores after every chunk; return ranks, final weights, steps."""
    ranker, taught = learner()
    ranks: list[tuple[object, int | None]] = []
    for number, query in enumerate(queries):
        taught.observe(query, TARGET, 1.0 + number % 3, number)
        if (number + 1) % chunk == 0:
            ranks += taught.flush_scores()
    ranks += taught.flush_scores()
    assert [ticket for ticket, _ in ranks] == list(range(len(queries)))
    return [rank for _, rank in ranks], ranker.weights, taught.steps


def test_ranks_and_weights_do_not_depend_on_the_chunks() -> None:
    """Chunks of 1, 7, 16 and all give the same ranks and, to the last bit, the same weights."""
    queries = random_queries(1, 500, len(learner()[0].features))
    ranks, weights, steps = ranks_in_chunks(queries, 1)
    assert steps == 500 // EVENTS_PER_STEP
    for chunk in (7, 16, 500):
        other_ranks, other_weights, other_steps = ranks_in_chunks(queries, chunk)
        assert other_ranks == ranks
        np.testing.assert_array_equal(other_weights, weights)
        assert other_steps == steps


def test_a_rank_counts_the_others_that_score_at_least_as_much() -> None:
    """The rank is 1 + the others at or above the target by the list's scores: ties count against it."""
    ranker, taught = learner()
    queries = random_queries(2, EVENTS_PER_STEP - 1, len(ranker.features))
    expected: list[int | None] = []
    for query in queries:
        scores, place = ranker.scores(query), query.place(TARGET)
        expected.append(None if place is None else int((scores >= scores[place]).sum()))
        taught.observe(query, TARGET, 1.0)
    assert [rank for _, rank in taught.flush_scores()] == expected
    assert None in expected
    assert any(rank and rank > 1 for rank in expected)


def test_scores_are_the_same_in_any_batch() -> None:
    """An event's scores are equal to the last bit alone, among others, and as the list computes them."""
    ranker, taught = learner()
    queries = random_queries(3, 40, len(ranker.features), largest=300)
    width = max(len(query.rows) for query in queries)
    batch = torch.zeros(len(ranker.features), len(queries), width)
    for number, query in enumerate(queries):
        batch[:, number, : len(query.rows)] = torch.from_numpy(np.ascontiguousarray(query.features.T))
    together = taught.mixer(batch).detach().numpy()
    for number, query in enumerate(queries):
        np.testing.assert_array_equal(together[number, : len(query.rows)], ranker.scores(query))


def test_the_gradient_is_that_of_the_weighted_log_loss() -> None:
    """One step moves the weights as the gradient written out by hand says, events without target included."""
    ranker, taught = learner()
    start = ranker.weights.astype(np.float64)
    queries = random_queries(4, EVENTS_PER_STEP, len(ranker.features))
    gradient, total = np.zeros(len(start)), 0.0
    for number, query in enumerate(queries):
        weight, place = 1.0 + number % 4, query.place(TARGET)
        total += weight
        if place is not None:
            scores = query.features @ start
            chances = np.exp(scores) / np.exp(scores).sum()
            gradient += weight * (chances @ query.features - query.features[place])
        taught.observe(query, TARGET, weight)
    gradient /= total
    step = 0.3 * gradient / np.sqrt(gradient**2 + 0.01)
    np.testing.assert_allclose(ranker.weights, start - step, atol=1e-5)


def test_it_learns_what_decides() -> None:
    """Where one feature decides which of 20 candidates comes next, that one is soon ranked first."""
    ranker, taught = learner()
    random = np.random.default_rng(5)
    for _ in range(3200):
        features = random.normal(size=(len(ranker.features), 20)).astype(np.float32)
        taught.observe(Query(np.arange(20, dtype=np.int32), features.T), int(features[3].argmax()), 1.0)
    ranks = [rank for _, rank in taught.scored()]
    assert ranks[:100].count(1) < 20
    assert ranks[-100:].count(1) > 80
    assert int(np.abs(ranker.weights).argmax()) == 3
    assert taught.loss is not None
    assert taught.loss < np.log(20)


def test_targets_that_are_no_candidates_teach_nothing_but_count() -> None:
    """Sixteen events without a target are a step that moves no weight, and each is scored without a rank."""
    ranker, taught = learner()
    before = ranker.weights.copy()
    for query in random_queries(6, EVENTS_PER_STEP, len(ranker.features)):
        taught.observe(query, 10_000, 1.0)
    assert taught.steps == 1
    assert taught.loss is None
    assert [rank for _, rank in taught.scored()] == [None] * EVENTS_PER_STEP
    np.testing.assert_array_equal(ranker.weights, before)


def test_empty_queries_are_scored_without_a_rank() -> None:
    """The stream's first events, which have no candidates at all, pass through a step unharmed."""
    ranker, taught = learner()
    empty = Query(np.zeros(0, np.int32), np.zeros((0, len(ranker.features)), np.float32))
    for _ in range(EVENTS_PER_STEP + 1):
        taught.observe(empty, TARGET, 1.0)
    assert [rank for _, rank in taught.flush_scores()] == [None] * (EVENTS_PER_STEP + 1)
    assert np.isfinite(ranker.weights).all()


@pytest.mark.parametrize("weight", [1e-6, 1.0, 1e6])
def test_only_the_relation_of_weights_matters(weight: float) -> None:
    """Multiplying all weights leaves the step as it is; a source's weight cannot blow up the learner."""
    ranker, taught = learner()
    reference_ranker, reference = learner()
    for query in random_queries(7, EVENTS_PER_STEP, len(ranker.features)):
        taught.observe(query, TARGET, weight)
        reference.observe(query, TARGET, 1.0)
    np.testing.assert_allclose(ranker.weights, reference_ranker.weights, atol=1e-5)


def test_the_seed_decides_where_the_weights_start() -> None:
    """The same seed starts with the same weights, another with slightly different ones."""
    first, again, other = (learner(seed)[0].weights for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert 0 < np.abs(first - other).max() < 0.1
