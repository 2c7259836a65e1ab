"""Whatever bytes come, every decoder gives a value or refuses them by name; what it gives it would write."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutate
from tests.fuzz.outcome import soon
from tests.fuzz.targets import Target, all_targets

TARGETS = all_targets()
HANGS_SECONDS = 120

patient = settings(
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
of_every_decoder = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    with soon(HANGS_SECONDS):
        yield


@of_every_decoder
def test_valid_bytes_give_values(target: Target) -> None:
    """The bytes from which the other tests start are mostly valid: else they would test refusals alone."""
    taken = [target.check(data) for data in target.valid()]
    assert any(taken)


@of_every_decoder
@patient
@given(data=st.binary(max_size=200))
def test_arbitrary_bytes_give_a_value_or_a_named_refusal(target: Target, data: bytes) -> None:
    """Bytes that nobody encoded, as they are and under a right checksum, never raise anything else."""
    target.check(data)
    target.check(target.seal(data))


@of_every_decoder
@patient
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_bytes_give_a_value_or_a_named_refusal(target: Target, seed: int) -> None:
    """Valid bytes that were flipped, cut, spliced or made longer, with the checksum wrong, and then right."""
    rng = random.Random(seed)
    one, other = rng.choice(target.seeds), rng.choice(target.seeds)
    target.check(mutate(target.seal(one), target.seal(other), rng))
    target.check(target.seal(mutate(one, other, rng)))
