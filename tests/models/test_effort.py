"""The levels of effort."""

from dataclasses import fields

from models.columns import KEPT
from models.effort import EFFORTS, FULL, HALF, LOW


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
