"""The mixer's kernel against torch's autograd, and what rounding must not do to it."""

import numpy as np
import pytest
import torch

from models.columns import KEPT, ROOTS, F, Q
from models.mixer import kernel
from models.mixer.backends import Backend, CompiledBackend
from models.mixer.layout import Layout
from models.mixer.network import TorchBackend
from models.mixer.replay import Memory, Minibatch, empty_minibatch
from models.mixer.settings import BETA_1, LONGEST_GRADIENT
from models.waiting import Waiting
from tests.models.mixer_streams import fill

LAYOUT = Layout(F, ROOTS, Q, hidden=64)


def _flat(seed: int = 3) -> np.ndarray:
    """Return parameters that are nowhere zero, as after some learning."""
    random = np.random.default_rng(seed)
    start = LAYOUT.initial(np.ones(F, np.float32), seed)
    return (start + random.normal(0, 0.1, LAYOUT.size)).astype(np.float32)


def _batch(sampled: int, seed: int = 3) -> Minibatch:
    random, waiting = np.random.default_rng(seed), Waiting(16)
    for slot in range(16):
        fill(waiting, slot, random)
        waiting.weights[slot] = random.choice([0.0, 0.5, 1.0, 4.0])
    batch = empty_minibatch(16, sampled, F, Q)
    assert Memory(1, sampled, F, Q, seed).sample(waiting, sampled, batch)
    return batch


@pytest.mark.parametrize("sampled", [7, 12, 32])
def test_the_gradients_are_those_of_autograd(sampled: int) -> None:
    """By hand and by torch, every parameter's gradient of a minibatch agrees, whatever the sizes."""
    flat, gradient = _flat(), np.zeros(LAYOUT.size, np.float32)
    batch = _batch(sampled)
    loss = kernel.gradients(batch, ROOTS, LAYOUT.views(flat), LAYOUT.views(gradient))
    expected = TorchBackend(LAYOUT, flat, "cpu").gradient(batch).numpy()
    assert loss > 0
    assert np.abs(expected).max() > 0.01
    assert np.allclose(gradient, expected, rtol=2e-3, atol=2e-5)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    """A small move along any direction changes the loss by the gradient times the move.

    Small, because hidden units bend at zero: a longer one crosses more of these bends.
    """
    random, batch, flat = np.random.default_rng(5), _batch(12), _flat()
    gradient, unused = np.zeros(LAYOUT.size, np.float32), np.zeros(LAYOUT.size, np.float32)
    kernel.gradients(batch, ROOTS, LAYOUT.views(flat), LAYOUT.views(gradient))
    direction = random.normal(size=LAYOUT.size).astype(np.float32)
    direction /= np.linalg.norm(direction)
    losses = [
        kernel.gradients(batch, ROOTS, LAYOUT.views(flat + move * direction), LAYOUT.views(unused))
        for move in (np.float32(-3e-3), np.float32(3e-3))
    ]
    assert (losses[1] - losses[0]) / 6e-3 == pytest.approx(float(gradient @ direction), rel=0.05, abs=1e-3)


def test_adam_is_that_of_torch() -> None:
    """A few steps on the same minibatches lead both paths to the same parameters."""
    paths: list[Backend] = [CompiledBackend(LAYOUT, _flat(), "cpu"), TorchBackend(LAYOUT, _flat(), "cpu")]
    for seed in range(5):
        for path in paths:
            assert path.descend(_batch(12, seed))
    one, other = (path.snapshot() for path in paths)
    assert one.keys() == other.keys()
    for name in one:
        # Where a gradient is almost zero, Adam's step is its sign, which rounding may turn.
        assert np.mean(np.isclose(one[name], other[name], rtol=1e-2, atol=1e-4)) > 0.99


@pytest.mark.parametrize("size", [1, 2, 5, 63, 64, 150])
def test_equal_rows_tie_exactly_wherever_they_stand(size: int) -> None:
    """A row's score is the same to the last bit alone, anywhere among others, and however many there are."""
    random = np.random.default_rng(size)
    features, context = random.random((size, F), np.float32), random.random(Q, np.float32)
    row = random.random(F, np.float32)
    parameters = LAYOUT.views(_flat())
    alone = kernel.scores(row[None], context, ROOTS, parameters)[0]
    for place in range(size):
        among = features.copy()
        among[place] = row
        assert kernel.scores(among, context, ROOTS, parameters)[place] == alone


def test_expanded_features_are_bounded_and_have_logarithms() -> None:
    """Roots gain log(x^2 + .001) / 7 + 1, which torch computes exactly and the kernel almost."""
    features = np.array([[0.0, 1e-3, 0.03, 0.5, 1.0, 2.0, -1.0, 8.0, np.nan, np.inf, -1e30]], np.float32)
    width = features.shape[1]
    into = np.ones((4, 24), np.float32)
    kernel.expand(features, 1, width, into)
    known = np.array([[0.0, 1e-3, 0.03, 0.5, 1.0, 2.0, -1.0, 8.0, 0.0, 8.0, -8.0]], np.float32)
    assert np.array_equal(into[:1, :width], known)
    assert np.allclose(into[:1, width : 2 * width], np.log(known**2 + 1e-3) / 7 + 1, atol=2e-5)
    assert not into[1:].any()
    assert not into[:, 2 * width :].any()


def test_torch_ties_equal_rows() -> None:
    """The reference, too, ranks a duplicate of the target as high as the target."""
    path, waiting = TorchBackend(LAYOUT, _flat(), "cpu"), Waiting(1)
    fill(waiting, 0, np.random.default_rng(1))
    waiting.sizes[0], waiting.targets[0] = KEPT, 3
    waiting.features[0, :] = waiting.features[0, 3]
    assert path.ranks(waiting, 0, 1)[0].tolist() == [KEPT]


@pytest.mark.parametrize("path", [CompiledBackend, TorchBackend])
def test_a_gradient_that_is_not_finite_changes_nothing(path: type[Backend]) -> None:
    """Neither path takes such a step, and the next one starts from where the last good one ended."""
    backend, batch = path(LAYOUT, _flat(), "cpu"), _batch(12)
    assert backend.descend(batch)
    before = backend.snapshot()
    batch.weights[:] = np.inf
    assert not backend.descend(batch)
    after = backend.snapshot()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert backend.descend(_batch(12, seed=4))


@pytest.mark.parametrize("path", [CompiledBackend, TorchBackend])
def test_a_long_gradient_is_shortened(path: type[Backend]) -> None:
    """However much an event weighs, Adam's moments take in no more than the longest gradient allowed."""
    backend, batch = path(LAYOUT, _flat(), "cpu"), _batch(12)
    batch.weights[:] = 1e6
    assert backend.descend(batch)
    mean = backend.snapshot()["mean"]
    assert np.linalg.norm(mean) == pytest.approx((1 - BETA_1) * LONGEST_GRADIENT, rel=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
def test_a_gpu_ranks_and_learns_as_the_kernel_does() -> None:
    """On a GPU the same minibatches lead to almost the same scores."""
    paths: list[Backend] = [CompiledBackend(LAYOUT, _flat(), "cpu"), TorchBackend(LAYOUT, _flat(), "cuda")]
    features, context = np.random.default_rng(1).random((KEPT, F), np.float32), np.ones(Q, np.float32)
    for seed in range(5):
        assert all(path.descend(_batch(12, seed)) for path in paths)
    one, other = (path.scores(features, context) for path in paths)
    assert np.allclose(one, other, atol=1e-2)
