"""What is to be done with texts, the most urgent first: filled by one thread, emptied by another."""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import NamedTuple


class WaitingText(NamedTuple):
    """A text that waits; sorts the newest first."""

    minus_number: int
    group: int
    hashed: bytes
    text: str
    since: float  # time.monotonic()


class Departure(NamedTuple):
    """A group that no listed item has."""

    group: int
    is_held: bool  # by an item that was removed


class Work(NamedTuple):
    """What is done at once; one of them at most has any."""

    departures: list[Departure]
    arrived: list[WaitingText]  # to be looked up
    missing: list[WaitingText]  # on no disk, to be encoded


class TextQueue:
    """Groups leave first, then texts are looked up, then encoded; of texts the newest come first."""

    def __init__(self) -> None:
        self._departures: deque[Departure] = deque()
        self._arrived: deque[WaitingText] = deque()
        self._missing: list[WaitingText] = []  # a heap
        self._numbers = count()
        self._may_work = threading.Condition()
        self._is_stopping = False
        self._is_closed = False

    def __bool__(self) -> bool:
        return bool(self._departures or self._arrived or self._missing)

    @property
    def missing(self) -> int:
        """How many texts are to be encoded."""
        return len(self._missing)

    def submit(self, group: int, hashed: bytes, text: str) -> None:
        """Let a text be looked up, and encoded if it is on no disk."""
        with self._may_work:
            if not self._is_closed:
                self._arrived.append(WaitingText(-next(self._numbers), group, hashed, text, time.monotonic()))
                self._may_work.notify()

    def depart(self, group: int, is_held: bool) -> None:
        """Let a group leave."""
        with self._may_work:
            if not self._is_closed:
                self._departures.append(Departure(group, is_held))
                self._may_work.notify()

    def take(self, looked_up: int, encoded: int) -> Work:
        """Return the most urgent, so many texts at most.

        At once, so that a text that is back is not looked up before its group has left.
        """
        with self._may_work:
            if self._departures:
                departures = list(self._departures)
                self._departures.clear()
                return Work(departures, [], [])
            if self._arrived:
                some = min(looked_up, len(self._arrived))
                return Work([], [self._arrived.pop() for _ in range(some)], [])
            some = min(encoded, len(self._missing))
            return Work([], [], [heapq.heappop(self._missing) for _ in range(some)])

    def put_back(self, work: Work) -> None:
        """Let what was taken wait as before."""
        with self._may_work:
            self._departures.extendleft(reversed(work.departures))
            self._arrived.extend(reversed(work.arrived))
        self.miss(work.missing)

    def miss(self, texts: Iterable[WaitingText]) -> None:
        """Let texts that are on no disk be encoded."""
        for text in texts:
            heapq.heappush(self._missing, text)

    def wait(self, has_other: Callable[[], bool]) -> bool:
        """Return True when there is work, here or otherwise, False when it was stopped."""
        with self._may_work:
            self._may_work.wait_for(lambda: self._is_stopping or self or has_other())
            return not self._is_stopping

    def is_stopped_within(self, seconds: float) -> bool:
        """Wait; return True at once when it is stopped."""
        with self._may_work:
            return self._may_work.wait_for(lambda: self._is_stopping, seconds)

    def stop(self) -> None:
        """End all waiting."""
        with self._may_work:
            self._is_stopping = True
            self._may_work.notify()

    def close(self) -> None:
        """Drop what waits, and all that comes."""
        with self._may_work:
            self._is_closed = True
            self._departures.clear()
            self._arrived.clear()
            self._missing.clear()
