"""Published lists that are made again when an item of theirs is removed (`republish = "on removal"`).

A partition remembers what is in the newest published lists of its users. When it is opened it reads that
from the recommendations' own partition, which is compacted by user, beside the stream; from then on it knows
what its transactions publish. So it does not matter who published a list, nor whether anybody ran when the
item was removed. Erased users are forgotten: their transaction says so, or the null in the topic.

Lists are made again a few at a time: the lane's own events go first, those of the other lanes wait for one
portion at most, and while any partition is behind there is one portion a second.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
import numpy as np
from aiokafka.structs import ConsumerRecord

from models.catalog import RowArray, item_key
from state.overlay import Overlay, User
from streams.events import RecommendationList, decode_item_ids
from streams.following import LogFollower
from streams.published import Hidden, PublishedLists
from streams.recommender import Recommender
from streams.threads import InThread

PORTION_LISTS = 16  # made again at once: as many as are ranked together, a few milliseconds
MOST_LISTS = 256  # in one transaction
BUSY_SECONDS = 1.0  # between two portions while a partition is behind
LOCKED_SECONDS = 0.01  # between two looks whether another lane's portion is made
READ_LISTS = 500  # of what was published before: read at once
RETRY_SECONDS = 1.0

Follow = Callable[..., LogFollower]  # takes partitions=, take=, positions=
log = logging.getLogger(__name__)


class Locks(NamedTuple):
    """What the lanes of a worker do one at a time: make lists again, read those that were published."""

    making: asyncio.Lock
    reading: asyncio.Lock


class Republishing:
    """Knows which of a partition's published lists are to be made again, and makes them."""

    def __init__(
        self,
        partition: int,
        published: PublishedLists,
        recommender: Recommender,
        in_thread: InThread,
        follow: Follow,
        locks: Locks,
    ) -> None:
        """`follow` opens a LogFollower of the recommendations."""
        self._partition = partition
        self._published = published
        self._recommender = recommender
        self._in_thread = in_thread
        self._follow = follow
        self._locks = locks
        self.on_waiting: Callable[[], object] = lambda: None  # called when lists were found beside the lane
        self._is_stale = False  # items were removed since the lists were looked through
        self._has_made_all = False  # nothing is left to make before the lane commits
        self._last = 0.0  # when a portion was made, on the monotonic clock
        self._read_up_to: int | None = None  # None: nothing of the topic was read
        self._own: set[str] | None = None  # whose lists we published while it is being read
        self._reading: asyncio.Task[None] | None = None

    # What the lane calls in the event loop.

    async def open(self) -> None:
        """Begin to read what others have published, now that nobody else does: the partition was opened."""
        await self._stop_reading()
        self._own, self._has_made_all = set(), False
        self._reading = asyncio.create_task(self._read(), name=f"published lists of {self._partition}")

    async def close(self) -> None:
        """Forget the lists: the partition is another worker's, or the process ends."""
        await self._stop_reading()
        self._read_up_to = None
        await self._in_thread(self._published.clear)

    def look_again(self) -> None:
        """Say that items were removed."""
        self._is_stale = True
        self.on_waiting()

    @property
    def waiting(self) -> int:
        """How many lists have an item that was removed, as far as is known."""
        return len(self._published.waiting)

    def due_in(self, is_calm: bool, made: int) -> float | None:
        """Return in how many seconds to make a portion of lists, 0 for now, None if there are none to make.

        `is_calm`: nobody is behind. `made` are those that the lane's transaction has already.
        """
        is_done = self._has_made_all or self.waiting <= made or made >= MOST_LISTS
        if is_done and not self._is_stale:
            return None
        if is_calm:
            return LOCKED_SECONDS if self._locks.making.locked() else 0.0
        return max(self._last + BUSY_SECONDS - time.monotonic(), 0.0)

    async def make(self, overlay: Overlay, made: Collection[str]) -> list[RecommendationList]:
        """Return a portion of lists of users who did nothing, without those of these users."""
        async with self._locks.making:
            lists = await self._in_thread(self._make, overlay, made)
        self._last = time.monotonic()
        return lists

    async def settle(self, lists: Sequence[RecommendationList], erased: Sequence[str]) -> None:
        """Take in what a transaction has published, and who was erased in it."""
        await self._in_thread(self._settle, lists, erased)

    # What is done in the model's thread.

    def _make(self, overlay: Overlay, made: Collection[str]) -> list[RecommendationList]:
        if self._is_stale:
            self._is_stale = False
            self._published.find(self._hidden)
        others = (user_id for user_id in self._published.waiting if user_id not in made)
        waiting = self.waiting
        chosen = self._quiet(overlay, others)
        self._has_made_all = not chosen and waiting == self.waiting
        try:
            return self._rank(chosen)
        except Exception as error:
            log.warning("partition %d: lists are made again one by one: %r", self._partition, error)
            return [found for user in chosen for found in self._rank_alone(user)]

    def _quiet(self, overlay: Overlay, user_ids: Iterable[str]) -> list[User]:
        """Return the first users who have no list coming anyway; who is not known any more is forgotten."""
        quiet: list[User] = []
        unknown: list[str] = []
        for user_id in user_ids:
            user = overlay.peek(user_id)
            if user is None:
                unknown.append(user_id)
            elif not user.changed:
                quiet.append(user)
            if len(quiet) + len(unknown) == PORTION_LISTS:
                break
        for user_id in unknown:
            self._published.forget(user_id)
        return quiet

    def _rank(self, users: Sequence[User]) -> list[RecommendationList]:
        lists = self._recommender.recommend(users, self._partition)
        return [msgspec.structs.replace(each, republished=True) for each in lists]

    def _rank_alone(self, user: User) -> list[RecommendationList]:
        """Return a user's list; none, and never again unasked, if that fails: it must not stop the stream."""
        try:
            return self._rank([user])
        except Exception:
            log.exception("partition %d: a list is left as it is until its user acts", self._partition)
            self._published.forget(user.user_id)
            return []

    def _settle(self, lists: Sequence[RecommendationList], erased: Sequence[str]) -> None:
        for each in lists:
            rows = self._rows([item.item_id for item in each.items])
            self._published.put(each.user_id, rows, self._hidden)
        for user_id in erased:
            self._published.forget(user_id)
        own = self._own
        if own is not None:
            own.update(each.user_id for each in lists)
            own.update(erased)
        self._has_made_all = False

    def _take(self, records: Sequence[ConsumerRecord]) -> None:
        """Take in what was published, by whomever; what we published since the opening is newer."""
        for record in records:
            with suppress(UnicodeDecodeError, msgspec.DecodeError):  # others' records are no concern of ours
                user_id = (record.key or b"").decode()
                if self._own is not None and user_id in self._own:
                    continue
                item_ids = [] if record.value is None else decode_item_ids(record.value)
                self._published.put(user_id, self._rows(item_ids), self._hidden)
        self._has_made_all = False

    @property
    def _hidden(self) -> Hidden:
        return self._recommender.catalog.items(has_exclusions=False).hidden

    def _rows(self, item_ids: Sequence[str]) -> RowArray:
        """Return int32[n], the rows of item ids, -1 for the unknown."""
        keys = np.array([item_key(item_id) for item_id in item_ids], np.uint64)
        return self._recommender.catalog.rows(keys)

    # What was published before.

    async def _read(self) -> None:
        async with self._locks.reading:
            while True:
                try:
                    await self._read_to_end()
                    break
                except Exception as error:
                    log.warning("partition %d: published lists are not read yet: %r", self._partition, error)
                    await asyncio.sleep(RETRY_SECONDS)
        self._own = None
        log.info("partition %d: knows what %d users' lists have", self._partition, len(self._published))

    async def _read_to_end(self) -> None:
        number, started = self._partition, self._read_up_to
        positions = {} if started is None else {number: started}
        follower = self._follow(partitions=[number], take=self._take_in_portions, positions=positions)
        try:
            await follower.start()
            await follower.catch_up()
        finally:
            self._read_up_to = follower.positions.get(number, started)
            await follower.stop()

    async def _take_in_portions(self, records: Sequence[ConsumerRecord]) -> None:
        for start in range(0, len(records), READ_LISTS):
            began = time.monotonic()
            await self._in_thread(self._take, records[start : start + READ_LISTS])
            if self.waiting:
                self.on_waiting()
            await asyncio.sleep(time.monotonic() - began)  # half of the time is the stream's own

    async def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
