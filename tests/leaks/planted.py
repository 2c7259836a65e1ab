"""Recommenders that know too much, or remember too little: what the checks are there to find."""

from collections.abc import Iterable, Sequence

from models.catalog import item_key
from state import MemoryStore
from state.overlay import Overlay, User
from streams.events import RecommendationList
from streams.examples import ExamplesRecorder, decode_examples
from streams.recommender import ACTION_CODES, Recommender, Record, Step
from streams.settings import Settings
from tests.streams.random_logs import START_MS, interaction

NOWHERE = 10**6
"""A partition that no record comes from: what was counted as of there is counted again where it belongs."""


class _CountsMore(Recommender):
    """Can count what it was not given, as if another worker had told of it."""

    def __init__(self, settings: Settings, worker_id: str = "local") -> None:
        super().__init__(settings, worker_id)
        self.counted_more = 0

    def count_more(self, record: Record, overlay: Overlay) -> None:
        """Count the events of a record."""
        recorder = ExamplesRecorder(self.settings.group, "somebody", NOWHERE)
        offset = self.counted_more
        self.counted_more += 1
        for each in record.interactions:
            overlay.load([each.user_id])
            user, key, action = overlay.user(each.user_id), item_key(each.item_id), ACTION_CODES[each.action]
            recorder.add(user, record.topic, offset, key, action, each.timestamp_ms)
        data = recorder.close({record.topic: (offset, offset + 1)})
        assert data is not None
        self.count_examples(decode_examples(data))


class KnowsTheEvent(_CountsMore):
    """Counts each event before it scores it."""

    ahead = 0

    def step(
        self, records: Sequence[Record], overlay: Overlay, recorder: ExamplesRecorder | None = None
    ) -> Step:
        """Apply records one by one, each after a look at the one `ahead` places further on in the chunk."""
        step = Step()
        for place, record in enumerate(records):
            if place + self.ahead < len(records):
                self.count_more(records[place + self.ahead], overlay)
            step = super().step([record], overlay, recorder)
        return step


class KnowsTheNext(KnowsTheEvent):
    """Counts the next event of the chunk before it scores one."""

    ahead = 1


class ChangedByAsking(_CountsMore):
    """Counts something whenever it is asked for lists."""

    def recommend(self, users: Iterable[User], partition: int) -> list[RecommendationList]:
        """Rank, and leave a trace."""
        lists = super().recommend(users, partition)
        record = Record("clicks", 0, 0, [interaction("u1", "i1", START_MS)])
        self.count_more(record, Overlay(MemoryStore()))
        return lists


class HasUnsavedState(_CountsMore):
    """Counts the first event of every third step once more, by a number that no checkpoint has."""

    steps = 0

    def step(
        self, records: Sequence[Record], overlay: Overlay, recorder: ExamplesRecorder | None = None
    ) -> Step:
        """Apply records, as the number of steps since it was made demands."""
        self.steps += 1
        if self.steps % 3 == 0 and records:
            self.count_more(records[0], overlay)
        return super().step(records, overlay, recorder)
