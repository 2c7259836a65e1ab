"""In which order the partitions of a worker go through a backlog: by the times of their records.

Each partition is in order by itself, but what is counted is counted of all of them. Partitions that
went at equal numbers of records would drift apart, and what is popular on one day is not on another.
"""

import math
from collections.abc import Callable

LEAST_RECORDS = 32  # at once, also where another's record is older than the last of them
PATIENCE_SECONDS = 5.0  # then a partition goes on, whoever is older: nothing starves beside one that lags


class Turns:
    """Lets the partition with the oldest record go on; the others wait, but not for long.

    Only those that are behind take turns; who is not never asks. One that stands still for its own reasons
    says so by `leave`; one that does not say so is passed over by whoever has waited for it long enough.
    """

    def __init__(self) -> None:
        self._heads_ms: dict[int, int] = {}  # partition -> time of its next record
        self._waiting: dict[int, tuple[float, Callable[[], object]]] = {}  # since when, and how to wake it

    def ask(self, number: int, head_ms: int, now_seconds: float, wake: Callable[[], object]) -> float | None:
        """Return up to which time a partition may go on now, None if it is another's turn.

        `wake` is called when it may be this one's. The clock of `now_seconds` is monotonic.
        """
        self._heads_ms[number] = head_ms
        others = {other: at for other, at in self._heads_ms.items() if other != number}
        oldest_ms = min(others.values(), default=math.inf)
        since, _ = self._waiting.get(number, (now_seconds, wake))
        if head_ms <= oldest_ms:
            self._waiting.pop(number, None)
            return oldest_ms
        if now_seconds - since >= PATIENCE_SECONDS:
            self._waiting.pop(number, None)
            return math.inf
        self._waiting[number] = since, wake
        return None

    def went_on(self, number: int, head_ms: int | None) -> None:
        """Say which record is next after what was taken, None if nothing is here; wakes whose turn it is."""
        if head_ms is None:
            self._heads_ms.pop(number, None)
        else:
            self._heads_ms[number] = head_ms
        self._wake_next()

    def leave(self, number: int) -> None:
        """Let nobody wait for a partition that does something else."""
        self._waiting.pop(number, None)
        if self._heads_ms.pop(number, None) is not None:
            self._wake_next()

    def _wake_next(self) -> None:
        if self._heads_ms:
            next_one = min(self._heads_ms, key=self._heads_ms.__getitem__)
            if next_one in self._waiting:
                self._waiting[next_one][1]()
