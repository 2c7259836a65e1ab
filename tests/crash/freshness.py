"""Watches the lists as they come, and knows for how long a partition had no fresh ones."""

import asyncio
import contextlib
import threading
import time

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

RETRY_SECONDS = 0.2


class _Stamp(msgspec.Struct):
    event_time: int


_read = msgspec.json.Decoder(_Stamp).decode


class Freshness:
    """A reader of committed lists in a thread of its own.

    Fresh means: a list that reflects an event of now. `newest` is, for each partition, the time of the newest
    event that a list reflects, so now - newest is how stale the partition's lists are.
    """

    def __init__(self, servers: str, topic: str, partitions: int) -> None:
        self._servers = servers
        self._tps = [TopicPartition(topic, number) for number in range(partitions)]
        self._newest = [time.time()] * partitions
        # Whenever a partition's lists became fresher: time of the newest event in them, when they came.
        self._arrivals: list[list[tuple[float, float]]] = [[] for _ in self._tps]
        self._longest_gap_seconds = 0.0
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), name="freshness")

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._is_stopping.set()
        self._thread.join()

    def begin(self) -> None:
        """Measure from now on: whatever was before does not count."""
        with self._lock:
            self._newest = [time.time()] * len(self._newest)
            self._longest_gap_seconds = 0.0

    def are_fresh_since(self, moment: float, within_seconds: float) -> bool:
        """Whether every partition has lists of events of after the moment, and is not behind again."""
        with self._lock:
            return min(self._newest) > max(moment, time.time() - within_seconds)

    def fresh_at(self, moment: float) -> float | None:
        """Return when the last partition had a list of an event of after the moment; None: not yet."""
        with self._lock:
            firsts = [
                next((now for event_time, now in arrivals if event_time > moment), None)
                for arrivals in self._arrivals
            ]
        known = [first for first in firsts if first is not None]
        return max(known) if len(known) == len(firsts) else None

    def stalest(self) -> tuple[int, float]:
        """Return the partition that waits for the longest for a fresh list, and for how many seconds."""
        with self._lock:
            oldest = min(self._newest)
            return self._newest.index(oldest), time.time() - oldest

    def longest_gap_seconds(self) -> float:
        """Return the longest time that one partition was without fresh lists, since `begin`."""
        return self._longest_gap_seconds

    async def _watch(self) -> None:
        while not self._is_stopping.is_set():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._servers, isolation_level="read_committed", fetch_max_wait_ms=50
            )
            with contextlib.suppress(KafkaError, OSError):
                await consumer.start()
                consumer.assign(self._tps)
                await self._follow(consumer)
            with contextlib.suppress(KafkaError, OSError):
                await consumer.stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while not self._is_stopping.is_set():
            batches = await consumer.getmany(timeout_ms=200)
            for tp, records in batches.items():
                now = time.time()
                stamps = [_read(record.value).event_time / 1000 for record in records if record.value]
                if stamps:
                    self.see(tp.partition, max(stamps), now)

    def see(self, partition: int, event_time: float, now: float) -> None:
        """Take note of lists that came now, with the time of the newest event in them."""
        with self._lock:
            if event_time > self._newest[partition]:
                gap_seconds = now - self._newest[partition]
                self._longest_gap_seconds = max(self._longest_gap_seconds, gap_seconds)
                self._newest[partition] = event_time
                self._arrivals[partition].append((event_time, now))
