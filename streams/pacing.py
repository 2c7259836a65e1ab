"""When a lane takes records and when it commits: in its turn, and neither for each record nor too late."""

import time
from collections.abc import Callable, Sequence

from aiokafka.structs import ConsumerRecord

from streams.hand import Hand
from streams.inlet import Inlet, Source
from streams.turns import LEAST_RECORDS, PATIENCE_SECONDS, Turns

SLICE_RECORDS = 250  # taken at once, so that no partition has the model's thread for long
TURN_RECORDS = 100  # from so many records behind, a partition waits for its turn among those that are behind
COMMIT_SECONDS = 0.05  # between two transactions of a partition; closer ones wait for each other's markers
# From so many records behind, lists would be stale when they come: fewer and larger transactions then.
BACKLOG_RECORDS = 2_000
BACKLOG_SECONDS = 5.0


class Pacing:
    """The rhythm of one lane. All seconds are on the monotonic clock."""

    def __init__(
        self,
        number: int,
        topics: Sequence[str],
        source: Source,
        inlet: Inlet,
        hand: Hand,
        turns: Turns,
        wake: Callable[[], object],
    ) -> None:
        self.since: float | None = None  # when the oldest record in hand was taken
        self.last_commit = 0.0
        self._number = number
        self._topics = topics
        self._source = source
        self._inlet = inlet
        self._hand = hand
        self._turns = turns
        self._wake = wake
        self._waits_for_turn = False

    @property
    def pending_seconds(self) -> float:
        """Age of the oldest record that was taken and is not durable yet."""
        return 0.0 if self.since is None else time.monotonic() - self.since

    @property
    def idle_seconds(self) -> float:
        """How long ago the lane last committed."""
        return time.monotonic() - self.last_commit

    @property
    def is_calm(self) -> bool:
        """Whether no partition of the worker is behind, so that there is time for what can wait."""
        return not self._turns.is_anyone_behind

    def take(self) -> list[ConsumerRecord]:
        """Return the records to apply now, none if nothing is here or it is another partition's turn."""
        self._waits_for_turn = False
        if again := self._hand.redo(SLICE_RECORDS):
            return again
        now, head_ms = time.monotonic(), self._inlet.head_ms
        if head_ms is None or self._behind_records() < TURN_RECORDS:
            self._turns.leave(self._number)
            return self._inlet.take(SLICE_RECORDS, now)
        until_ms = self._turns.ask(self._number, head_ms, now, self._wake)
        if until_ms is None:
            self._waits_for_turn = True
            return []
        records = self._inlet.take(SLICE_RECORDS, now, until_ms, LEAST_RECORDS)
        if not records:  # it waits for another of its topics, and nobody should wait for that
            self._turns.leave(self._number)
        return records

    def took(self) -> None:
        """Say that something is in hand now."""
        self.since = self.since or time.monotonic()

    def applied(self) -> None:
        """Say that what was taken is applied: the turn is over."""
        self._turns.went_on(self._number, self._inlet.head_ms)

    def rest(self) -> None:
        """Say that the lane does something else than taking: nobody has to wait for it."""
        self._turns.leave(self._number)

    def drop(self) -> None:
        """Say that nothing is in hand any more."""
        self.since = None
        self.rest()

    def committed(self) -> None:
        """Say that what was in hand is durable."""
        self.since, self.last_commit = None, time.monotonic()

    def due_in(self) -> float | None:
        """Return in how many seconds to commit, 0 for now, None if there is nothing to commit.

        When nothing is left to take, at most every 50 ms; under load 50 ms after the first record was taken;
        with a backlog after a chunk, or 5 s: so its users are ranked once for many of its events.
        """
        if self.since is None or self._hand.is_empty:
            return None
        if self._hand.is_careful or self._hand.is_full:
            return 0.0
        if self._behind_records() >= BACKLOG_RECORDS:
            at = self.since + BACKLOG_SECONDS
        else:
            at = COMMIT_SECONDS + (
                self.last_commit if self._inlet.is_empty else max(self.since, self.last_commit)
            )
        return max(at - time.monotonic(), 0.0)

    def pause(self) -> float | None:
        """Return for how long to wait when there was nothing to take, None until something comes."""
        # Whether a topic is waited for is found out by taking, which is not its turn.
        waits = [PATIENCE_SECONDS if self._waits_for_turn else self._inlet.wait_seconds(time.monotonic())]
        due_in = self.due_in()
        if due_in is not None:
            waits.append(max(due_in, 0.001))
        return min((wait for wait in waits if wait is not None), default=None)

    def _behind_records(self) -> int:
        """Return how many records wait, here and in the logs."""
        lags = (self._source.lag(topic, self._number) or 0 for topic in self._topics)
        return sum(self._inlet.pending(topic) for topic in self._topics) + sum(lags)
