"""What the ranks of every scorer add up to while the stream runs, and who is told of each rank."""

from collections.abc import Callable, Sequence

from models.learner import Learner
from models.prequential import BASELINES, Prequential

SCORER = "freshet"
INTEREST = "interest"  # the interest model alone, among what the ranker kept
OnRank = Callable[[int, str, int | None], None]  # number of the event, scorer, rank


class Scoreboard:
    """Sums of the ranks that events had before they were learned."""

    def __init__(self, learner: Learner) -> None:
        self.prequential = {scorer: Prequential() for scorer in (SCORER, *BASELINES)}
        self.interest_alone = Prequential()
        self.on_rank: OnRank | None = None
        self._learner = learner

    def put(self, scorer: str, numbers: Sequence[int], ranks: Sequence[int | None]) -> None:
        """Take in the ranks of events, by their numbers; None or 0: none."""
        self.prequential[scorer].add(ranks)
        self._tell(scorer, numbers, ranks)

    def take_scored(self) -> None:
        """Take what the learner has scored since the last call."""
        self._take(self._learner.scored())

    def take_waiting(self) -> None:
        """Have the learner score, without learning, the events that wait for their step, and take that."""
        self._take(self._learner.flush_scores())

    def _take(self, ranked: Sequence[tuple[int, int | None]]) -> None:
        if ranked:
            self.put(SCORER, *zip(*ranked, strict=True))
        if alone := self._learner.scored_alone():
            numbers, ranks = zip(*alone, strict=True)
            self.interest_alone.add(ranks)
            self._tell(INTEREST, numbers, ranks)

    def _tell(self, scorer: str, numbers: Sequence[int], ranks: Sequence[int | None]) -> None:
        if self.on_rank is not None:
            for number, rank in zip(numbers, ranks, strict=True):
                self.on_rank(number, scorer, rank or None)
