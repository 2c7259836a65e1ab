"""From a user's state to the list that goes out."""

import time
from collections.abc import Sequence

import numpy as np

from models.catalog import Catalog, FingerprintArray
from models.history import History
from models.learner import Learner
from models.ranking import Query, Ranker, Scored
from state.overlay import User
from streams.events import RecommendationList, RecommendedItem

NOTHING: FingerprintArray = np.frombuffer(b"", np.uint32)


class Lister:
    """Ranks for users; asking changes nothing."""

    def __init__(
        self, catalog: Catalog, ranker: Ranker, learner: Learner, length: int, has_exclusions: bool
    ) -> None:
        self._catalog = catalog
        self._ranker = ranker
        self._learner = learner
        self._length = length
        self._has_exclusions = has_exclusions

    def make(
        self, users: Sequence[User], partition: int, stream_ms: int, model_version: str
    ) -> list[RecommendationList]:
        """Return the users' lists as of the time of their stream; empty where nothing can be said."""
        lists, together = [], self._learner.most_at_once
        for start in range(0, len(users), together):
            asked = users[start : start + together]
            moments_ms = [max(user.state.newest_time_ms, stream_ms) for user in asked]
            queries = [
                self._ranker.query(self._history(user), now_ms, self._length)
                for user, now_ms in zip(asked, moments_ms, strict=True)
            ]
            self._learner.complete(queries)
            for user, query in zip(asked, queries, strict=True):
                lists.append(self._list(user, query, partition, model_version))
        return lists

    def _list(self, user: User, query: Query, partition: int, model_version: str) -> RecommendationList:
        scored = self._ranker.top(query, self._length, self._learner.scores)
        return RecommendationList(
            user_id=user.user_id,
            made_at=time.time_ns() // 1_000_000,
            event_time=user.state.newest_time_ms,
            model_version=model_version,
            positions={topic: (partition, at) for topic, at in user.state.positions.items()},
            items=[self._item(each) for each in scored],
        )

    def excluded(self, user: User) -> FingerprintArray:
        """Return what must not be recommended to a user, uint32[k]."""
        return user.exclusions.fingerprints if self._has_exclusions else NOTHING

    def _history(self, user: User) -> History:
        state = user.state
        return History(
            rows=self._catalog.rows(np.frombuffer(state.item_keys, np.uint64)),
            actions=np.frombuffer(state.actions, np.uint8),
            times_ms=np.frombuffer(state.times_ms, np.int64),
            repeat_rows=self._catalog.rows(np.frombuffer(state.repeat_keys, np.uint64)),
            repeat_counts=np.frombuffer(state.repeat_counts, np.float64),
            repeat_times_ms=np.frombuffer(state.repeat_times_ms, np.int64),
            excluded=self.excluded(user),
        )

    def _item(self, scored: Scored) -> RecommendedItem:
        item_id = self._catalog.item_id(scored.row)
        if item_id is None:
            raise RuntimeError(f"row {scored.row} was ranked, but nobody has said its id")
        return RecommendedItem(
            item_id=item_id,
            score=scored.score,
            title=self._catalog.title(scored.row),
            reasons=list(scored.reasons),
        )
