"""Nothing of an event's future reaches its score; and each check finds a leak that is planted for it."""

from collections.abc import Callable

import pytest

from streams.evaluation import Variant, team
from streams.recommender import Recommender
from tests.leaks import checks
from tests.leaks.planted import ChangedByAsking, HasUnsavedState, KnowsTheEvent, KnowsTheNext

VARIANTS: tuple[Variant, ...] = ("all", "new")
Plant = Callable[[type[Recommender]], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Give a function that lets `evaluate` run a recommender of another kind."""
    return lambda kind: monkeypatch.setattr(team, "Recommender", kind)


def test_a_random_future_is_scored_at_chance() -> None:
    """Where the next item is drawn by a fair die, every scorer hits it as often as chance does."""
    checks.check_random_future()


def test_a_shuffled_user_is_nobody() -> None:
    """Where events are dealt to users at random, nothing is left of what knowing the user was worth."""
    checks.check_permuted_users()


@pytest.mark.parametrize("check", [checks.check_random_future, checks.check_permuted_users])
@pytest.mark.parametrize("kind", [KnowsTheEvent, KnowsTheNext])
def test_a_recommender_that_knows_the_event_is_found(
    check: Callable[[], None], kind: type[Recommender], plant: Plant
) -> None:
    """One that counts the event at hand, or the next, before it scores is better than chance can be."""
    plant(kind)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_comes_later_changes_no_earlier_rank(variant: Variant) -> None:
    """Altering event k + 1, or everything from there on, leaves all ranks up to k as they were."""
    checks.check_later_events(variant)


@pytest.mark.parametrize("variant", VARIANTS)
def test_ranks_do_not_depend_on_the_chunks(variant: Variant) -> None:
    """Steps of 1, 13 and 2,000 events give every scorer the same rank at every event."""
    checks.check_chunks(variant)


@pytest.mark.parametrize("check", [checks.check_later_events, checks.check_chunks])
def test_a_recommender_that_looks_ahead_in_its_chunk_is_found(
    check: Callable[[Variant], None], plant: Plant
) -> None:
    """One that counts the next event of the chunk has other ranks when that, or the chunk, is another."""
    plant(KnowsTheNext)
    with pytest.raises(AssertionError):
        check("all")


def test_lists_do_not_know_what_comes_next() -> None:
    """Streams that part at an event have the same lists before it; who is not asked has the same ranks."""
    checks.check_lists(Recommender)


def test_a_recommender_that_asking_changes_is_found() -> None:
    """One that learns from being asked has other ranks than one that was not."""
    with pytest.raises(AssertionError):
        checks.check_lists(ChangedByAsking)


@pytest.mark.parametrize("stop_at", [0, 7, 160, 301])
def test_a_checkpoint_has_everything(stop_at: int) -> None:
    """Stopped, saved, loaded and continued, a recommender gives the ranks and lists of an undisturbed one."""
    checks.check_goes_on(Recommender, stop_at)


def test_a_recommender_that_no_checkpoint_has_whole_is_found() -> None:
    """One with a number that is not saved goes on in another way."""
    with pytest.raises(AssertionError):
        checks.check_goes_on(HasUnsavedState, 160)


def test_an_instant_is_scored_before_it_is_learned() -> None:
    """With `batch_ties` no event of an instant knows of another one of it, whichever comes first."""
    checks.check_instants()


def test_events_of_an_instant_that_know_each_other_are_found(plant: Plant) -> None:
    """One that counts the next event before it scores one changes ranks within an instant."""
    plant(KnowsTheNext)
    with pytest.raises(AssertionError):
        checks.check_instants()
