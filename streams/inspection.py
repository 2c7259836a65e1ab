"""What `freshet inspect` is told: a user's facts, a worker's partitions, model, memory and digests."""

import os
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from state import StateError, UserStore
from state.keys import ERASED_PREFIX, FOLLOWED_KEY, NEXT_KEY, POSITION_KEY, PURGED_KEY, TOPICS_KEY
from streams.encoding import TextEncoding
from streams.events import ACTIONS
from streams.identity import Identity
from streams.lane import Lane
from streams.learned import digests
from streams.recommender import Recommender
from streams.threads import in_thread

LOCAL_KEYS = (FOLLOWED_KEY, NEXT_KEY, POSITION_KEY, PURGED_KEY, TOPICS_KEY)


class Subject(Protocol):
    """Who is inspected: a worker's runtime."""

    identity: Identity
    recommender: Recommender
    texts: TextEncoding | None

    def readiness(self) -> str | None:
        """None if it is ready, else what is wrong."""

    def owned(self) -> Sequence[Lane]:
        """Return the lanes of the partitions that it owns."""


class Inspector:
    """Looks things up, in the model's thread where they belong to it."""

    def __init__(self, subject: Subject, in_model_thread: Callable[..., Awaitable[Any]]) -> None:
        self._subject = subject
        self._in_model_thread = in_model_thread

    def readiness(self) -> str | None:
        """None if the worker is ready, else what is wrong."""
        return self._subject.readiness()

    async def inspect_user(self, user_id: str) -> dict[str, Any] | None:
        """Return a user's sequence, oldest first, and positions; None if the worker does not own them."""
        for lane in self._subject.owned():
            found: dict[str, Any] | None = await self._in_model_thread(self._look_up, lane, user_id)
            if found is not None:
                return found
        return None

    async def inspect_worker(self) -> dict[str, Any]:
        """Return partitions, lag, model, texts that wait and why, memory and digests."""
        subject = self._subject
        learned: dict[str, str] = await self._in_model_thread(digests, subject.recommender)
        return {
            "worker_id": subject.identity.worker_id,
            "group": subject.identity.group,
            "ready": subject.readiness() or "ready",
            "partitions": [lane.describe() for lane in subject.owned()],
            "model_version": subject.recommender.model_version,
            "items": len(subject.recommender.catalog),
            "texts": _texts(subject.texts),
            "memory_bytes": resident_bytes(),
            "digests": {**learned, "users": await self._users_digest()},
        }

    async def _users_digest(self) -> str:
        """Return a digest of all durable facts about the users of the owned partitions.

        It is the same for any two workers that own the same partitions of the same log, if each user comes
        through one topic: what users repeat is counted in the order of arrival, which several topics share by
        chance.
        """
        digest = blake2b(digest_size=16)
        for lane in self._subject.owned():
            if lane.partition.is_open:
                digest.update(await in_thread(_store_digest, lane.partition.store))
        return digest.hexdigest()

    def _look_up(self, lane: Lane, user_id: str) -> dict[str, Any] | None:
        try:
            user = lane.partition.overlay.peek(user_id) if lane.partition.is_open else None
        except (RuntimeError, StateError):  # it was closed a moment ago, or is being restored
            user = None
        if user is None:
            return None
        state, recommender = user.state, self._subject.recommender
        sequence = zip(state.item_keys, state.actions, state.times_ms, strict=True)
        return {
            "user_id": user_id,
            "partition": lane.number,
            "sequence": [
                {"item_id": recommender.item_id(key), "action": ACTIONS[action], "timestamp": time_ms}
                for key, action, time_ms in sequence
            ],
            "positions": {topic: [lane.number, offset] for topic, offset in state.positions.items()},
        }


def _texts(texts: TextEncoding | None) -> dict[str, Any] | None:
    """Return how many texts wait for vectors and what keeps them; None where texts are not encoded."""
    return None if texts is None else {"waiting": texts.waiting, "failure": texts.failure}


def resident_bytes() -> int:
    """Return the memory that this process holds now, where that can be known, else its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _store_digest(store: UserStore) -> bytes:
    digest = blake2b(digest_size=16)
    for key, value in store.scan():
        if key not in LOCAL_KEYS and not key.startswith(ERASED_PREFIX):  # whose hashes are each group's own
            digest.update(len(key).to_bytes(4, "little") + key + value)
    return digest.digest()
