"""Tests what the model and the baselines would have said, just before an event is counted."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from models.baselines import Baselines
from models.history import History
from models.learner import Learner
from models.prequential import BASELINES
from models.ranking import Ranker
from models.waiting import Waiting


class Test(NamedTuple):
    """An event to predict from its user's history of before it."""

    history: History
    row: int
    time_ms: int
    weight: float  # in learning, about 1
    ticket: int  # its number
    whose: int  # the hash of its user


class Tester:
    """Tests events, and lets ranker and learner learn from them; the counters are not its business."""

    def __init__(
        self,
        ranker: Ranker,
        learner: Learner,
        baselines: Baselines,
        score: Callable[[int, str, int | None], None],
    ) -> None:
        """`score` is told the number of an event, a baseline and its rank; the learner's ranks come later."""
        self._ranker = ranker
        self._learner = learner
        self._baselines = baselines
        self._score = score

    def test(self, tests: Sequence[Test]) -> None:
        """Test the events of one instant: all of them are scored before any is learned."""
        for test in tests:
            for scorer, rank in zip(BASELINES, self._baselines.test(test.history, test.row), strict=True):
                self._score(test.ticket, scorer, rank)
        if len(tests) == 1:
            test = tests[0]
            self._ask(test, self._learner.waiting, self._learner.next_slot)
            self._learner.observe(test.weight, test.ticket, test.whose)
        elif tests:
            self._test_together(tests)

    def _test_together(self, tests: Sequence[Test]) -> None:
        tested = Waiting(len(tests))
        self._ranker.begin_instant()
        try:
            for slot, test in enumerate(tests):
                self._ask(test, tested, slot)
                tested.weights[slot] = test.weight
                tested.tickets[slot] = test.ticket
                tested.users[slot] = test.whose
        finally:
            self._ranker.end_instant()
        self._learner.test(tested, len(tests))
        for slot in range(len(tests)):
            self._learner.take(tested, slot)

    def _ask(self, test: Test, waiting: Waiting, slot: int) -> None:
        self._ranker.test(test.history, test.time_ms, test.row, test.weight, waiting, slot)
