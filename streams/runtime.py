"""What lives beside Faust's app: the model's thread, a lane per partition number, the web server."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import mode
import torch
from faust.types import TP

from state import RocksStore
from streams import transport
from streams.catalogue import Catalogue
from streams.checkpointing import Checkpointer
from streams.encoding import open_encoding
from streams.events import InteractionDecoder
from streams.following import LogFollower
from streams.identity import PARTITIONS, TEXTS, Identity
from streams.inlet import Room
from streams.inspection import Inspector
from streams.item_ids import ItemIds
from streams.lane import Lane
from streams.metrics import Metrics
from streams.partition import Partition
from streams.published import PublishedLists, most_users
from streams.recommender import Recommender
from streams.replication import Replication
from streams.republishing import Locks, Republishing
from streams.settings import Settings
from streams.threads import in_thread
from streams.topics import TopicLayout
from streams.transaction import Tools
from streams.turns import Turns
from streams.web import WebServer

MEASURE_SECONDS = 1.0
PURGE_SECONDS = 20.0
SILENCE_SECONDS = 10.0  # without an answer to a fetch or a commit the broker counts as away

log = logging.getLogger(__name__)
FRAMEWORK = logging.getLogger("faust.freshet")  # the life cycle that Faust logs of our classes


def servers_of(settings: Settings) -> list[str]:
    """Return the bootstrap servers one by one."""
    return [server.strip() for server in settings.bootstrap_servers.split(",") if server.strip()]


class Runtime(mode.Service):  # type: ignore[misc]
    """Everything of a worker that is not Faust's, started and stopped with Faust's app."""

    logger = FRAMEWORK
    app: Any  # Faust has no types

    def __init__(self, settings: Settings, layout: TopicLayout, identity: Identity) -> None:
        super().__init__()
        self.settings = settings
        self.layout = layout
        self.room = Room.shared_by(layout.partitions * len(settings.inputs))
        self.identity = identity
        self.directory = Path(settings.data_directory)
        self.metrics = Metrics()
        torch.set_num_threads(1)
        self.recommender = Recommender(settings, identity.worker_id)
        self.texts = open_encoding(settings, self.directory / TEXTS, self.metrics)
        if self.texts is not None:
            self.recommender.assortment.read_texts(self.texts)
        self.recommender.assortment.prepare()
        self.metrics.identify(self.recommender.device)
        self.lanes: list[Lane] = []
        self._servers = servers_of(settings)
        self._assigned: frozenset[int] | None = None
        self._turns = Turns()
        self._republishing_locks = Locks(asyncio.Lock(), asyncio.Lock())
        self._thread = ThreadPoolExecutor(1, "model")
        self._in_thread = partial(in_thread, executor=self._thread)
        self._item_ids = ItemIds(
            settings.item_ids_topic,
            self._servers,
            partial(self._in_thread, self.recommender.learn_item_ids),
        )
        following = (layout.partitions, self._servers, self.recommender, self.metrics, self._in_thread)
        self._catalogue = Catalogue(settings.topics.items, *following, self._look_for_removed)
        self._replication = Replication(settings.examples_topic, *following)
        self._checkpointer = Checkpointer(
            self.directory, settings.checkpoint_seconds, self.recommender, self.metrics, self._in_thread
        )
        inspector = Inspector(self, self._in_thread)
        self.web = WebServer(settings.metrics_host, settings.metrics_port, self.metrics, inspector)

    # Life.

    async def on_start(self) -> None:
        """Read what every worker reads, and begin to answer."""
        consumer = self.app.consumer
        consumer.before_revocation = self.drain
        consumer.on_epoch = self._begin_epoch
        self.lanes = [self._lane(number, consumer) for number in range(self.layout.partitions)]
        self.metrics.skipped_learning.inc(self.recommender.skipped)  # as its checkpoint says
        await self.web.start()
        await self._item_ids.start()
        if self.texts is not None:
            self.texts.start(self._thread.submit)
        await self._catalogue.start()
        await self._replication.start()
        for lane in self.lanes:
            lane.start()
        self.add_future(self._measure())
        self.add_future(self._checkpointer.run(lambda: bool(self.should_stop)))
        self.add_future(self._purge())

    async def on_stop(self) -> None:
        """Leave the partitions, after Faust has left the group."""
        await _all(*(lane.close() for lane in self.lanes))
        await _all(self._item_ids.stop(), self._catalogue.stop(), self._replication.stop(), self.web.stop())
        if self.texts is not None:
            await asyncio.to_thread(self.texts.stop)
        await self._checkpointer.take()
        self._thread.shutdown()

    async def deliver(self, stream: Any) -> None:  # noqa: ANN401 - Faust has no types
        """Hand every chunk of a source to the lane of its partition; never raises, never waits."""
        async for chunk in stream:
            self.lanes[chunk.partition].offer(chunk)

    async def drain(self) -> None:
        """Make durable what was applied, and take nothing more."""
        await asyncio.gather(*(lane.drain() for lane in self.lanes))

    def _lane(self, number: int, consumer: transport.ChunkConsumer) -> Lane:
        tools = Tools(
            self.settings,
            self.recommender,
            {name: InteractionDecoder(name, source) for name, source in self.settings.sources.items()},
            self.metrics,
            self.layout.message_bytes,
        )
        directory = self.directory / PARTITIONS / str(number)
        part = Partition(
            number,
            partial(RocksStore, directory),
            changelog=self.settings.users_topic,
            group=self.settings.group,
            servers=self._servers,
            batch_bytes=self.layout.message_bytes,
            topic_ids=self.layout.topic_ids,
            tombstone_ms=self.layout.tombstone_ms,
        )
        work = (part, consumer, tools, self._thread, self._catch_up, self._turns, self.room)
        return Lane(*work, self._republishing(number))

    def _republishing(self, number: int) -> Republishing | None:
        settings, partitions = self.settings, self.layout.partitions
        if settings.republish == "on action":
            return None
        published = PublishedLists(most_users(settings.list_length, partitions), settings.list_length)
        follow = partial(LogFollower, settings.topics.recommendations, servers=self._servers)
        return Republishing(
            number, published, self.recommender, self._in_thread, follow, self._republishing_locks
        )

    def _look_for_removed(self) -> None:
        for lane in self.owned():
            if lane.republishing is not None:
                lane.republishing.look_again()

    def _begin_epoch(self, epoch: int, assignment: frozenset[TP]) -> None:
        inputs = self.settings.inputs
        assigned = frozenset(tp.partition for tp in assignment if tp.topic in inputs)
        if assigned != self._assigned:
            self.metrics.rebalances.inc()
            log.info("partitions %s are ours", sorted(assigned))
        self._assigned = assigned
        self.recommender.learner.share = max(len(assigned), 1) / self.layout.partitions
        for lane in self.lanes:
            if lane.number in assigned:
                lane.begin(epoch)
            else:
                lane.park()

    async def _catch_up(self, partition: int) -> None:
        """Count all that a partition's older owners taught, before its own events are counted."""
        await self._item_ids.catch_up()
        await self._replication.catch_up(partition)

    # What it says of itself.

    def readiness(self) -> str | None:
        """None if every partition of ours is restored and committing, else what is wrong."""
        if self._assigned is None:
            return "no partitions were assigned yet"
        for lane in self.owned():
            if lane.readiness is not None:
                return f"partition {lane.number}: {lane.readiness}"
        silence = min(self.app.consumer.silence_seconds(), *(lane.pacing.idle_seconds for lane in self.lanes))
        if silence > SILENCE_SECONDS:
            return f"no broker has answered for {silence:.0f} s"
        return None

    def owned(self) -> list[Lane]:
        """Return the lanes of the partitions that are ours."""
        return [lane for lane in self.lanes if lane.number in (self._assigned or ())]

    async def _measure(self) -> None:
        """Set the gauges once a second."""
        while not self.should_stop:
            try:
                await self._in_thread(self.recommender.scoreboard.take_waiting)
                behind_seconds = max((lane.backlog.seconds for lane in self.owned()), default=0.0)
                await self._in_thread(self.recommender.keep_pace, behind_seconds, time.monotonic())
                self._set_gauges()
            except Exception as error:  # what cannot be measured now must not end the worker
                log.warning("not measured this time: %r", error)
            await asyncio.sleep(MEASURE_SECONDS)

    async def _purge(self) -> None:
        """Once in a while, leave no trace on this disk of the users who were erased since."""
        while not self.should_stop:
            await asyncio.sleep(PURGE_SECONDS)
            for lane in self.owned():
                try:
                    await lane.partition.purge()
                except Exception as error:  # it is tried again
                    log.warning("partition %d: not purged this time: %r", lane.number, error)

    def _set_gauges(self) -> None:
        metrics, recommender, owned = self.metrics, self.recommender, self.owned()
        for lane in owned:
            lane.backlog.measure(metrics)
        for lane in self.lanes:
            if lane not in owned:
                metrics.forget_lag(self.settings.inputs, lane.number)
        waiting = (lane.republishing.waiting for lane in owned if lane.republishing is not None)
        metrics.republishing_waiting.set(sum(waiting))
        metrics.ready.set(self.readiness() is None)
        metrics.commit_age_seconds.set(max((lane.pacing.pending_seconds for lane in owned), default=0.0))
        metrics.checkpoint_age_seconds.set(self._checkpointer.age_seconds)
        metrics.items.set(len(recommender.catalog))
        metrics.model_version.set(recommender.learner.steps)
        metrics.count_prequential(
            recommender.variant, recommender.scoreboard.prequential, recommender.scoreboard.interest_alone
        )
        if recommender.learner.loss is not None:
            metrics.loss.labels("ranker").set(recommender.learner.loss)
        interest = recommender.learner.interest
        if interest is not None and interest.loss is not None:
            metrics.loss.labels("interest").set(interest.loss)
        trial = recommender.learner.trial
        if trial is not None:
            metrics.interest_resting.set(trial.is_resting)
        if trial is not None and trial.worth is not None:
            metrics.interest_worth_nats.set(trial.worth.nats)
        partitions = [lane.partition for lane in owned if lane.partition.is_open]
        metrics.users.set(sum(part.overlay.stored_users for part in partitions))
        metrics.state_bytes.set(sum(part.store.approximate_bytes() for part in partitions))


async def _all(*endings: Awaitable[None]) -> None:
    """Let all of them end, whatever one of them says."""
    for ended in await asyncio.gather(*endings, return_exceptions=True):
        if isinstance(ended, BaseException):
            log.warning("did not end well: %r", ended)
