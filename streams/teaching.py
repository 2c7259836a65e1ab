"""What a step has put into its users' histories and now is to be tested, counted and learned from, in order.

Testing and counting need nothing but the past of before each event, so a step gathers its events and hands
them over together. What fails before that has taught nothing, and is taught when it comes again.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.catalog import Catalog
from models.learner import EVENTS_PER_STEP, Learner
from models.lessons import Lesson, Lessons, in_columns
from models.prequential import BASELINES
from models.ranking import Ranker
from models.waiting import Waiting
from streams.steps import Record
from streams.unconfirmed import Unconfirmed

GATHERED = 256
"""How many events are handed over together, at most."""
GATHERED_EXCLUSIONS = 2**18
"""With so many exclusions of their users, all of which are copied, fewer are."""
Score = Callable[[str, Sequence[int], Sequence[int]], None]  # scorer, numbers of the events, ranks, 0: none


class _Begun(NamedTuple):
    """A record, and how many of the events gathered came before it."""

    record: Record
    before: int


class Teaching:
    """Gathers events, and lets counters, ranker and learner have them; keeps account of what was taught.

    `marks` are (topic, partition) -> the offset after the last record that was counted and learned from. What
    comes again after a failure changes its user, whose overlay was dropped, but teaches nothing twice.
    """

    def __init__(self, catalog: Catalog, ranker: Ranker, learner: Learner, score: Score) -> None:
        """`score` is told what rank every event has by each of the baselines; the learner's come later."""
        self._catalog = catalog
        self._ranker = ranker
        self._learner = learner
        self._score = score
        self.events = 0  # that taught something, the number of the next one
        self.skipped = 0  # of our own, counted and never learned from: a crash came between
        self.marks: dict[tuple[str, int], int] = {}
        self.unconfirmed = Unconfirmed()
        self._is_told = False
        self._begun: deque[_Begun] = deque()
        self._lessons: list[Lesson] = []
        self._records: list[Record] = []  # where each lesson came from
        self._exclusions = 0  # in the lessons

    def open(self, is_told: bool) -> None:
        """Begin a step, whatever became of the last; `is_told`: the examples log will tell of it."""
        self._is_told = is_told
        self._begun.clear()
        self._lessons, self._records, self._exclusions = [], [], 0

    def is_taught(self, record: Record) -> bool:
        """Whether a record was counted and learned from before."""
        return record.offset < self.marks.get((record.topic, record.partition), 0)

    def begin(self, record: Record, pending: int) -> None:
        """Go on to a record that is new; so many events of those before it are still to be added."""
        self._begun.append(_Begun(record, len(self._lessons) + pending))

    def add(self, record: Record, lesson: Lesson) -> None:
        """Take an event that is an instant of its own."""
        self._lessons.append(lesson)
        self._records.append(record)
        self._exclusions += len(lesson.asked.excluded)
        if len(self._lessons) == GATHERED or self._exclusions >= GATHERED_EXCLUSIONS:
            self.hand_over()

    def add_instant(self, events: Sequence[tuple[Record, Lesson]]) -> None:
        """Take several events of one instant: all of them are tested before the first is counted."""
        self.hand_over()
        self._records = [record for record, _ in events]
        self._lessons = [lesson for _, lesson in events]
        lessons = in_columns(self._lessons, self._catalog, self.events)
        size, tested = len(events), sum(lesson.is_tested for lesson in self._lessons)
        waiting = Waiting(tested, len(self._learner.features))
        self._teach(lessons, 0, size, size, waiting, 0)
        self._learner.test(waiting, tested)
        for slot in range(tested):
            self._learner.take(waiting, slot)
        self._let_go()

    def hand_over(self) -> None:
        """Hand over what was gathered, as much at a time as the learner takes until its next step."""
        if not self._lessons:
            return
        lessons, start = in_columns(self._lessons, self._catalog, self.events), 0
        while start < len(self._lessons):
            stop, tested = self._portion(start)
            self._teach(lessons, start, stop, 1, self._learner.waiting, self._learner.next_slot)
            self._learner.advance(tested)
            start = stop
        self._let_go()

    def close(self) -> None:
        """End a step: hand over what was gathered; records that taught nothing are done with, too."""
        self.hand_over()
        while self._begun:
            self._mark(self._begun.popleft())

    def _let_go(self) -> None:
        taught = len(self._lessons)
        self._begun = deque(_Begun(each.record, each.before - taught) for each in self._begun)
        self._lessons, self._records, self._exclusions = [], [], 0

    def _portion(self, start: int) -> tuple[int, int]:
        """Return where the portion from `start` on ends, and how many of it are tested."""
        stop, tested, room = start, 0, EVENTS_PER_STEP - self._learner.next_slot
        while stop < len(self._lessons) and tested < room:
            tested += self._lessons[stop].is_tested
            stop += 1
        return stop, tested

    def _teach(
        self, lessons: Lessons, start: int, stop: int, at_once: int, waiting: Waiting, slot: int
    ) -> None:
        """Test and count a portion. Marked before, so that what fails in its midst is not taught twice."""
        while self._begun and self._begun[0].before < stop:
            self._mark(self._begun.popleft())
        for number in range(start, stop):
            lesson = self._lessons[number]
            if lesson.is_tested:
                lessons.weights[number] = self._ranker.weigh(lesson.weight)
        self.events += stop - start
        self._ranker.teach(lessons, start, stop, at_once, waiting, slot)
        if self._is_told:
            for lesson, record in zip(self._lessons[start:stop], self._records[start:stop], strict=True):
                self.unconfirmed.take((record.topic, record.partition), record.offset).append(lesson.row)
        self._score_baselines(lessons, start, stop)

    def _mark(self, begun: _Begun) -> None:
        record = begun.record
        source = (record.topic, record.partition)
        self.marks[source] = record.offset + 1
        if self._is_told:
            self.unconfirmed.take(source, record.offset)

    def _score_baselines(self, lessons: Lessons, start: int, stop: int) -> None:
        is_tested = lessons.is_tested[start:stop]
        numbers = lessons.tickets[start:stop][is_tested].tolist()
        ranks = lessons.ranks[start:stop][is_tested].T.tolist()
        for scorer, theirs in zip(BASELINES, ranks, strict=True):
            self._score(scorer, numbers, theirs)
