"""Interactions on their way through a step, and which of them belong to one instant."""

from collections.abc import Sequence
from typing import NamedTuple

from state.overlay import User
from streams.events import Interaction
from streams.steps import Record


class Event(NamedTuple):
    """One interaction on its way: where in which record, whose, its item, what it counts."""

    record: Record
    line: int
    interaction: Interaction
    user: User
    row: int
    key: int
    weight: float
    is_taught: bool  # it was counted and learned from before


def are_tied(instant: Sequence[Event], event: Event) -> bool:
    """Return whether an event is to be scored before those of an instant are learned.

    What may be a repetition of one of them is not: it is recognised once that one is applied.
    """
    last, line = instant[-1].interaction, event.interaction
    return last.timestamp_ms == line.timestamp_ms and not (
        line.event_id is not None
        and any(
            (other.interaction.user_id, other.interaction.event_id) == (line.user_id, line.event_id)
            and other.record is not event.record
            for other in instant
        )
    )
