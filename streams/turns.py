"""In which order the partitions of a worker go through a backlog: by the times of their records.

Each partition is in order by itself, but what is counted is counted of all of them. Partitions that
went at equal numbers of records would drift apart, and what is popular on one day is not on another.
"""

import math
from collections.abc import Callable

LEAST_RECORDS = 32  # at once, also where another's record is older than the last of them
PATIENCE_SECONDS = 5.0  # then a partition goes on, whoever is older: nothing starves beside one that lags


class Turns:
    """Lets one partition go on at a time, the one with the oldest record; the others wait, but not for long.

    Only those that are behind take turns; who is not never asks. One that stands still for its own reasons
    says so by `leave`; one that does not say so is passed over by whoever has waited for it long enough.
    """

    def __init__(self) -> None:
        self._whose: int | None = None
        self._heads_ms: dict[int, int] = {}  # partition -> time of its next record
        self._waiting: dict[int, tuple[float, Callable[[], object]]] = {}  # since when, and how to wake it

    @property
    def is_anyone_behind(self) -> bool:
        """Whether some partition is behind."""
        return bool(self._heads_ms)

    def ask(self, number: int, head_ms: int, now_seconds: float, wake: Callable[[], object]) -> float | None:
        """Return up to which time a partition may go on now, None if it is another's turn.

        `head_ms` is the time of its next record. `wake` is called when it may be this one's turn. The clock
        of `now_seconds` is monotonic. A turn ends with `went_on` or `leave`.
        """
        self._heads_ms[number] = head_ms
        since, _ = self._waiting.get(number, (now_seconds, wake))
        oldest_ms = min((at for other, at in self._heads_ms.items() if other != number), default=math.inf)
        is_impatient = now_seconds - since >= PATIENCE_SECONDS
        if not is_impatient and (self._whose not in (None, number) or head_ms > oldest_ms):
            self._waiting[number] = since, wake
            return None
        self._waiting.pop(number, None)
        self._whose = number
        return math.inf if is_impatient else oldest_ms

    def went_on(self, number: int, head_ms: int | None) -> None:
        """End a turn: say which record is next, None if nothing is here, and wake whose turn it is."""
        if head_ms is None:
            self.leave(number)
        else:
            self._heads_ms[number] = head_ms
            self._end_turn(number)

    def leave(self, number: int) -> None:
        """Let nobody wait for a partition that does something else."""
        self._heads_ms.pop(number, None)
        self._waiting.pop(number, None)
        self._end_turn(number)

    def _end_turn(self, number: int) -> None:
        if self._whose not in (None, number):
            return
        self._whose = None
        if self._heads_ms:
            oldest = min(self._heads_ms, key=self._heads_ms.__getitem__)
            if oldest in self._waiting:
                self._waiting[oldest][1]()
