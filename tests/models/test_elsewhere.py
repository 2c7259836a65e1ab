"""What a GPU is asked to do: that it can be done there, that it is the same, and how much is asked for."""

import numpy as np
import pytest
import torch

from models.columns import KEPT, F, Q
from models.interest import InterestModel, Sequences
from models.learner import EVENTS_PER_STEP, Learner
from models.mixer.network import TorchBackend
from tests.models import elsewhere
from tests.models.elsewhere import ELSEWHERE
from tests.models.interest.streams import SMALL, batch, taught
from tests.models.mixer_streams import fill

STEPS = 40


def test_the_pretended_device_notices_what_a_gpu_would_not_do() -> None:
    """Tensors of two devices do not meet, and a tensor is not read before it was fetched."""
    with elsewhere.device():
        here, there = torch.ones(3), torch.ones(3, device=ELSEWHERE)
        with pytest.raises(RuntimeError, match="elsewhere"):
            here + there
        with pytest.raises((RuntimeError, TypeError)):
            there.numpy()
        assert (there + here.to(ELSEWHERE)).cpu().tolist() == [2.0] * 3


def test_the_interest_model_runs_elsewhere_as_it_does_here() -> None:
    """The same stream, learned on another device, leaves the same model; a CPU goes on from it."""
    here = taught(SMALL, STEPS)
    with elsewhere.device():
        there = taught(SMALL, STEPS, device=ELSEWHERE)
        each = batch(np.random.default_rng(9))
        assert np.array_equal(
            here.logits(each.sequences, each.candidates), there.logits(each.sequences, each.candidates)
        )
        back = InterestModel(SMALL, device=ELSEWHERE, seed=1)
        back.restore(here.snapshot())
        left = there.snapshot()
    for name, array in here.snapshot().items():
        assert np.array_equal(array, left[name]), name


@pytest.mark.parametrize("users", [1, 16, 1000])
def test_whoever_asks_waits_once_and_large_questions_are_few_launches(users: int) -> None:
    """A GPU is waited for once, however many users are asked about, and its launches are of hundreds."""
    random, many = np.random.default_rng(4), []
    while len(many) * 16 < users:
        many.append(batch(random))
    sequences = Sequences(
        *(np.concatenate(each)[:users] for each in zip(*(b.sequences for b in many), strict=True))
    )
    candidates = np.concatenate([each.candidates for each in many])[:users]
    here = taught(SMALL, STEPS)
    with elsewhere.device() as device:
        there = InterestModel(SMALL, device=ELSEWHERE, seed=1)
        there.restore(here.snapshot())
        device.counts.clear()
        told = there.logits(sequences, candidates)
    assert np.allclose(told, here.logits(sequences, candidates), atol=1e-5)
    blocks = -(-users // 256)
    assert device.counts["waits"] == 1
    assert device.counts["launches"] <= 1 + 50 * blocks
    assert device.counts["copies"] <= 8 * blocks


def test_a_step_waits_for_its_loss_and_its_length_alone() -> None:
    """Of learning only two numbers come back; what it needs goes there in a few copies."""
    with elsewhere.device() as device:
        there = taught(SMALL, STEPS, device=ELSEWHERE)
        device.counts.clear()
        batch(np.random.default_rng(5)).teach(there)
    assert there.steps == STEPS + 1
    assert device.counts["waits"] == 2
    assert device.counts["copies"] <= 16


def test_the_mixer_runs_elsewhere_as_it_does_here() -> None:
    """The same events lead to the same ranks and weights, and a snapshot of one goes on in the other."""
    here = Learner("cpu", backend=TorchBackend)
    with elsewhere.device():
        there = Learner(ELSEWHERE)
        there.restore(here.snapshot())
        for learner in (here, there):
            random = np.random.default_rng(6)
            for _ in range(20 * EVENTS_PER_STEP):
                fill(learner.waiting, learner.next_slot, random)
                learner.advance(1)
        assert here.scored() == there.scored()
        left, features = there.snapshot(), np.ones((KEPT, F), np.float32)
        context = np.ones(Q, np.float32)
        assert np.array_equal(here.scores(features, context), there.scores(features, context))
    assert there.steps == 20
    for name, array in here.snapshot().items():
        assert np.array_equal(array, left[name]), name
