"""What a lane does with the records it took: they fill a transaction, and a commit makes it durable."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from aiokafka.structs import ConsumerRecord

from state import StateError
from streams.hand import Hand
from streams.pacing import Pacing
from streams.partition import Partition
from streams.republishing import Republishing
from streams.threads import in_thread
from streams.transaction import Tools, Transaction

T = TypeVar("T")
log = logging.getLogger(__name__)


class PutBackError(Exception):
    """Something failed on the records of a transaction; they were put back, to be done again one by one."""


class Applying:
    """Fills the transactions of one partition. When it does so is the lane's to say.

    Whatever fails here leaves the partition where it was before the transaction, or to be undone.
    """

    def __init__(
        self,
        partition: Partition,
        tools: Tools,
        model_thread: Executor,
        hand: Hand,
        pacing: Pacing,
        republishing: Republishing | None,
    ) -> None:
        self.transaction: Transaction | None = None
        self._partition = partition
        self._tools = tools
        self._thread = model_thread
        self._hand = hand
        self._pacing = pacing
        self._republishing = republishing

    async def apply(self, records: list[ConsumerRecord]) -> None:
        """Take records in hand and let the transaction take them in.

        Raises:
            PutBackError: something failed on them; they are in hand, to be done again one by one.

        """
        transaction = self._begin()
        self._pacing.took()
        self._hand.take(records)
        done = await self._on_records(transaction.apply, records)
        self._hand.leave(len(records) - done)

    def again_in(self, is_calm: bool) -> float | None:
        """Return in how many seconds to make published lists again, None if there are none."""
        if self._republishing is None:
            return None
        made = 0 if self.transaction is None else len(self.transaction.again)
        return self._republishing.due_in(is_calm, made)

    async def list_again(self) -> None:
        """Let the transaction carry some published lists anew: what is in them was removed."""
        if self._republishing is not None:
            transaction = self._begin()
            overlay = self._partition.overlay
            transaction.list_again(await self._republishing.make(overlay, transaction.again.keys()))

    async def commit(self) -> bool:
        """Make durable what was applied; return whether there was anything to settle.

        Raises:
            PutBackError: something failed on the records in hand; they are to be done again one by one.

        """
        transaction = self.transaction
        if transaction is None:
            return False
        self._pacing.rest()
        if not transaction.is_empty:
            await self._make_durable(transaction)
        self._hand.settle()
        self.transaction = None
        self._pacing.committed()
        return True

    def undo(self) -> None:
        """Take back what was applied and is not durable; the records are still in hand."""
        self._partition.drop()
        self.transaction = None
        self._pacing.rest()

    async def _make_durable(self, transaction: Transaction) -> None:
        outgoing = await self._on_records(transaction.close)
        await self._partition.commit(outgoing, self._tools.timed, transaction.report)
        item_ids = list(transaction.item_ids.items())
        await in_thread(self._tools.recommender.learn_item_ids, item_ids, executor=self._thread)
        if self._republishing is not None:
            await self._republishing.settle(transaction.lists, transaction.erased)

    def _begin(self) -> Transaction:
        """Return the transaction that is being filled."""
        if self.transaction is None:
            partition = self._partition
            self.transaction = Transaction(
                partition.number,
                partition.next_offsets,
                partition.overlay,
                self._tools,
                self._hand.defects,
            )
        return self.transaction

    async def _on_records(self, call: Callable[..., T], *arguments: object) -> T:
        """Call in the model's thread what works on the records in hand."""
        try:
            return await in_thread(call, *arguments, executor=self._thread)
        except StateError:
            raise
        except Exception as error:
            if not self._hand.blame(error):
                raise
            log.warning("partition %d: failed on a record", self._partition.number, exc_info=error)
            self.undo()
            raise PutBackError from error
