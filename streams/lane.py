"""One partition number at work: opens it, takes what came, commits, recovers; one asyncio task."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

from aiokafka.errors import IllegalOperation, ProducerFenced
from aiokafka.structs import ConsumerRecord

from state import CorruptState, StateError
from streams.applying import Applying, PutBackError
from streams.backlog import Backlog
from streams.chunk import Chunk
from streams.hand import Hand
from streams.inlet import Inlet, Room, Source
from streams.pacing import Pacing
from streams.partition import LostLogError, Outgoing, Partition
from streams.republishing import Republishing
from streams.transaction import Tools, Transaction
from streams.turns import Turns

RETRY_SECONDS = 0.5
MEMBER_SECONDS = 0.1  # between two looks whether the group still has us
STUCK_SECONDS = 30.0
PARKED = 0  # no epoch has this number

log = logging.getLogger(__name__)


class Lane:
    """Works through one partition number, from the first chunk of an epoch to its end.

    What it takes stays in hand until it is durable, so a failure here is repaired here: the partition is
    opened again and what was in hand is done again. The other partitions notice nothing.
    """

    def __init__(
        self,
        partition: Partition,
        source: Source,
        tools: Tools,
        model_thread: Executor,
        catch_up: Callable[[int], Awaitable[None]],
        turns: Turns,
        room: Room = Room(),  # noqa: B008 - it never changes
        republishing: Republishing | None = None,
    ) -> None:
        self.number = partition.number
        self.partition = partition
        self.trouble: str | None = "not assigned"
        self._source = source
        self._tools = tools
        self._catch_up = catch_up
        self._topics = tools.settings.inputs
        self._inlet = Inlet(self.number, self._topics, source, tools.settings.topics.erasures, room)
        self._hand = Hand()
        topics = (self.number, self._topics, source, self._inlet, self._hand)
        self.backlog = Backlog(*topics, self._is_current, tools.now_seconds)
        self._epoch = PARKED
        self._hand_epoch = PARKED  # what is in hand was delivered in it
        self._opened_epoch = PARKED
        self._stopped_epoch = PARKED
        self._wiped_epoch = PARKED
        self._fenced_at = float("-inf")
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._is_draining = False
        self.pacing = Pacing(*topics, turns, self._wake.set)
        self.republishing = republishing
        if republishing is not None:
            republishing.on_waiting = self._wake.set
        self._applying = Applying(partition, tools, model_thread, self._hand, self.pacing, republishing)
        self._task: asyncio.Task[None] | None = None

    # What the worker calls.

    def start(self) -> None:
        """Begin to work; chunks and epochs may come before or after."""
        self._task = asyncio.create_task(self._run(), name=f"partition {self.number}")

    def begin(self, epoch: int) -> None:
        """Prepare for an epoch: what was in hand of an older one is forgotten, and the partition opened."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._is_draining = False
            self._inlet.clear()
            self.trouble = "restoring"
            self._wake.set()

    def park(self) -> None:
        """Give the partition up: it belongs to another worker now."""
        self.begin(PARKED)
        self.trouble = "not assigned"

    def offer(self, chunk: Chunk) -> None:
        """Take a chunk in hand."""
        if self._source.live(chunk.epoch):
            self.begin(chunk.epoch)
            self._inlet.add(chunk)
            self._wake.set()

    async def drain(self) -> None:
        """Commit what was applied and take nothing more until another epoch begins."""
        self._is_draining = True
        self.pacing.rest()
        if self._opened_epoch != self._epoch:
            return  # it is being restored, which nobody has to wait for
        async with self._busy:
            if self._is_current() and self._opened_epoch == self._epoch:
                try:
                    await self._commit()
                except Exception as error:
                    log.warning("partition %d: not committed before it moved: %r", self.number, error)
                    self._opened_epoch = PARKED

    async def close(self) -> None:
        """Stop working and leave the partition."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._leave()

    def describe(self) -> dict[str, object]:
        """Return what `freshet inspect worker` says of this partition."""
        return {
            "partition": self.number,
            "state": self.readiness or "ready",
            "next": dict(self.partition.next_offsets),
            **self.backlog.describe(),
        }

    @property
    def transaction(self) -> Transaction | None:
        """What is applied and not durable yet."""
        return self._applying.transaction

    @property
    def readiness(self) -> str | None:
        """None if the partition is restored and committing, else what is wrong."""
        if self.trouble is not None:
            return self.trouble
        if not self._is_current():
            return "waiting for its assignment"
        if self.pacing.pending_seconds > STUCK_SECONDS:
            return f"nothing was committed for {self.pacing.pending_seconds:.0f} s"
        return None

    # The work.

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                async with self._busy:
                    pause = await self._turn()
            except PutBackError:
                pause = 0
            except LostLogError as error:
                self._stop_here(error)
                pause = None
            except Exception as error:
                await self._recover(error)
                await asyncio.sleep(RETRY_SECONDS)  # whatever arrives meanwhile
                pause = 0
            if pause == 0:
                await asyncio.sleep(0)  # not every piece of work waits for something, and others have theirs
            else:
                await self._wait(pause)

    async def _turn(self) -> float | None:
        """Do one piece of work; return how long to wait for the next, None until something happens."""
        if not self._is_current() or self._is_draining:
            if not self._is_draining:
                self._drop()
            if self._epoch == PARKED and self.partition.is_open:
                await self._leave()
            return None
        if self._opened_epoch != self._epoch:
            if not self._source.is_member_since(self._fenced_at):
                return MEMBER_SECONDS  # to open it would fence whoever owns it now
            await self._open()
            return 0
        if self.pacing.due_in() == 0:
            if self._applying.again_in(is_calm=False) == 0:
                await self._applying.list_again()
            await self._commit()
            return 0
        if records := self.pacing.take():
            await self._apply(records)
            self.pacing.applied()
            return 0
        return await self._use_pause()

    async def _use_pause(self) -> float | None:
        """Make published lists again where there are any to make: there was nothing to take."""
        again_in = self._applying.again_in(self.pacing.is_calm)
        if again_in == 0:
            await self._applying.list_again()
            if self._hand.is_empty and self._applying.again_in(self.pacing.is_calm) != 0:
                await self._commit()
            return 0
        return min((wait for wait in (self.pacing.pause(), again_in) if wait is not None), default=None)

    async def _open(self) -> None:
        epoch, started = self._epoch, time.monotonic()
        if self._hand_epoch != epoch:
            self._drop()
            self._hand_epoch = epoch
        restored = await self.partition.open(self._topics)
        await self._catch_up(self.number)
        await self._count_lost()
        seconds = time.monotonic() - started
        self._tools.metrics.restore_seconds.observe(seconds)
        log.info("partition %d: restored, %d records in %.2f s", self.number, restored, seconds)
        if self.republishing is not None:
            await self.republishing.open()
        self._opened_epoch = epoch
        if epoch == self._epoch:
            self.trouble = None

    async def _count_lost(self) -> None:
        """Go on where the logs begin, durably, so that what they lost is counted once."""
        if self.partition.lost:
            await self.partition.commit(Outgoing())
        for topic, lost in self.partition.lost.items():
            log.error(
                "partition %d: %s lost %d records to retention before they were applied",
                *(self.number, topic, lost),
            )
            self._tools.metrics.lost_to_retention.inc(lost)

    async def _apply(self, records: list[ConsumerRecord]) -> None:
        if self._inlet.go_back_to(self.partition.next_offsets, records):
            return
        await self._applying.apply(records)

    async def _commit(self) -> None:
        epoch = self._epoch
        if await self._applying.commit():
            for topic, next_offset in self.partition.next_offsets.items():
                self._source.done(topic, self.number, next_offset, epoch)

    async def _wait(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    def _is_current(self) -> bool:
        return self._epoch not in (PARKED, self._stopped_epoch) and self._source.live(self._epoch)

    # When something goes wrong, or ends.

    async def _leave(self) -> None:
        if self.republishing is not None:
            await self.republishing.close()
        await self.partition.close()

    def _drop(self) -> None:
        """Forget what was applied and is not durable: it is delivered again."""
        self._applying.undo()
        self._hand.clear()
        self.pacing.drop()

    def _stop_here(self, error: Exception) -> None:
        log.error("partition %d is stopped: %s", self.number, error)
        self._drop()
        self._stopped_epoch, self.trouble = self._epoch, str(error)

    async def _recover(self, error: Exception) -> None:
        """Go back to what is durable; what was applied beyond it stays in hand, to be done again."""
        log.warning("partition %d: starts again from what is durable: %r", self.number, error, exc_info=error)
        self.trouble = f"recovering from {type(error).__name__}: {error}"
        self._applying.undo()
        self._hand.put_back()
        self._opened_epoch = PARKED
        if isinstance(error, (ProducerFenced, IllegalOperation)):
            self._fenced_at = time.monotonic()
        self._inlet.expect_from(self.partition.next_offsets)
        try:
            if isinstance(error, CorruptState):
                await self._recover_from_corruption(error)
            elif isinstance(error, StateError):
                await self.partition.close()  # a store that failed once refuses all until it is opened again
        except Exception as another:
            log.warning("partition %d: %r", self.number, another)

    async def _recover_from_corruption(self, error: CorruptState) -> None:
        """Restore the store from the changelog; if that does not help, the changelog has it, too."""
        if self._wiped_epoch == self._epoch:
            self._stop_here(error)
        else:
            self._wiped_epoch = self._epoch
            await self.partition.wipe()
