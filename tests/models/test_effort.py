"""The levels of effort."""

from dataclasses import fields

from models.columns import KEPT
from models.effort import EFFORTS, FULL, HALF, LOW, Pace


def test_a_lower_level_does_no_more_of_anything() -> None:
    """From full to half to low no amount of work grows, and some shrink."""
    amounts = [field.name for field in fields(FULL) if field.name != "name"]
    for higher, lower in ((FULL, HALF), (HALF, LOW)):
        pairs = [(getattr(higher, name), getattr(lower, name)) for name in amounts]
        assert all(more >= less for more, less in pairs)
        assert any(more > less for more, less in pairs)


def test_the_levels_go_by_their_names_and_fit_the_buffers() -> None:
    """A setting finds its level by name, and none keeps more candidates than there is room for."""
    assert [EFFORTS[name].name for name in ("full", "half", "low")] == ["full", "half", "low"]
    assert all(effort.sampled <= effort.kept <= KEPT <= effort.candidates for effort in EFFORTS.values())


def _names(pace: Pace, behind: list[float], every_seconds: float = 5.0) -> list[str]:
    return [pace.choose(each, number * every_seconds).name for number, each in enumerate(behind)]


def test_work_that_falls_behind_goes_down_step_by_step() -> None:
    """One level at a time, with time in between to see whether it was enough, and never below the lowest."""
    assert _names(Pace(), [0.1, 9.0, 20.0, 30.0, 40.0, 50.0]) == ["full", "half", "half", "low", "low", "low"]


def test_work_that_is_on_time_goes_up_only_after_a_good_while() -> None:
    """A level that has just been left is not tried again before there was no backlog for two minutes."""
    pace = Pace()
    names = _names(pace, [9.0] * 3 + [0.1] * 60)
    assert names[2] == "low"
    assert names.index("half", 3) == 2 + 24
    assert names.index("full", 3) == 2 + 48
    assert names[-1] == "full"


def test_work_at_the_limit_stays_where_it_is() -> None:
    """Somewhat behind, neither much nor on time: the level does not move."""
    pace = Pace()
    assert pace.choose(9.0, 0.0).name == "half"
    assert {pace.choose(2.0, 10.0 * number).name for number in range(1, 100)} == {"half"}
