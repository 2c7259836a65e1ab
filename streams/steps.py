"""What goes into a step of the recommender, and what comes out of it besides changed users."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.events import Line, Refused


@dataclass(frozen=True, slots=True)
class Record:
    """One decoded record of a source: its position, and the interactions or retractions it holds."""

    topic: str
    partition: int
    offset: int
    interactions: Sequence[Line]


@dataclass(slots=True)
class Step:
    """What a step found besides the users that it changed."""

    applied: dict[tuple[str, str], int] = field(default_factory=dict)  # (topic, action) -> events
    late: dict[str, int] = field(default_factory=dict)  # topic -> events
    duplicates: dict[str, int] = field(default_factory=dict)  # topic -> events known by their id
    retractions: dict[tuple[str, str], int] = field(default_factory=dict)  # (topic, outcome) -> retractions
    refused: list[tuple[Record, Refused]] = field(default_factory=list)
    new_item_ids: dict[int, str] = field(default_factory=dict)  # key -> id, not durable yet
