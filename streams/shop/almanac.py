"""When the shop's world turns: seasons that come back, and hours at which everything changes at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge

import msgspec

from streams.shop.customers import INTEREST_WEIGHTS
from streams.shop.shelf import HOUR_MS
from streams.shop.words import TOPICS

MOST_SEASONS = len(TOPICS) // len(INTEREST_WEIGHTS)
WEEK_HOURS = 168.0


class Turn(msgspec.Struct, frozen=True, omit_defaults=True):
    """What begins at a time: a season, by its number, or, without one, a world in which all is new."""

    timestamp: int
    season: int | None = None


@dataclass(frozen=True, slots=True)
class Almanac:
    """`seasons` follow one another every `season_hours` and come back in turn; hours are after the opening.

    Each season has topics of its own, and customers come back to the interests that they had in it. At an
    upheaval everybody's interests, brands and habits are replaced, and what appeals in the shop is, too.
    Raises ValueError for what makes no sense.
    """

    seasons: int = 1
    season_hours: float = WEEK_HOURS
    upheaval_hours: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (1 <= self.seasons <= MOST_SEASONS and self.season_hours > 0):
            raise ValueError(
                f"an almanac has 1 to {MOST_SEASONS} seasons of more than 0 hours, not {self.seasons} of "
                f"{self.season_hours}"
            )
        if not all(hour > 0 for hour in self.upheaval_hours):
            raise ValueError(f"upheavals come after the opening, not at {self.upheaval_hours} hours")

    def topics(self, season: int) -> list[int]:
        """Return the numbers of the topics that customers are interested in during a season."""
        return list(range(season, len(TOPICS), self.seasons))

    def turns(self, opening_ms: int) -> Iterator[Turn]:
        """Yield all turns after the opening, which is in season 0, in the order of time; without end."""
        upheavals = [Turn(opening_ms + round(hour * HOUR_MS)) for hour in sorted(self.upheaval_hours)]
        return merge(self._seasons(opening_ms), upheavals, key=lambda turn: turn.timestamp)

    def _seasons(self, opening_ms: int) -> Iterator[Turn]:
        number = 0
        while self.seasons > 1:
            number += 1
            yield Turn(opening_ms + round(number * self.season_hours * HOUR_MS), number % self.seasons)
