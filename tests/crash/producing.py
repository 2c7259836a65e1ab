"""Sends a drawn stream at a steady rate until it is told to stop; a process of its own.

It survives any broker: what it is sure of does not matter, for the oracle reads what the log really holds.
`python -m tests.crash.producing SERVERS SEED RATE MIX` with the mix as JSON.
"""

import asyncio
import json
import logging
import signal
import sys
import time
from collections import Counter

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.crash.stream import TRUTH, Mix, Sent, Stream

TICK_SECONDS = 0.02
LARGEST_BURST_SECONDS = 3.0  # what piles up while a broker is away is sent when it is back, up to this
REQUEST_BYTES = 4 << 20
FLUSH_SECONDS = 60.0

log = logging.getLogger(__name__)


class Producing:
    """Sends, and counts what became of it."""

    def __init__(self, servers: str, stream: Stream, rate: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._servers = servers
        self._stream = stream
        self._rate = rate
        self._is_stopping = asyncio.Event()

    def stop(self) -> None:
        """Send nothing more, and wait for what is on its way."""
        self._is_stopping.set()

    async def run(self) -> None:
        """Send until stopped; after an error that a producer does not survive, with a new one."""
        while not self._is_stopping.is_set():
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                enable_idempotence=True,
                acks="all",
                linger_ms=5,
                max_request_size=REQUEST_BYTES,
                request_timeout_ms=120_000,
            )
            try:
                await producer.start()
                await self._send_all(producer)
                await asyncio.wait_for(producer.flush(), FLUSH_SECONDS)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("a new producer after %r", error)
                self.outcomes["producers lost"] += 1
                await asyncio.sleep(1.0)
            finally:
                await producer.stop()

    async def _send_all(self, producer: AIOKafkaProducer) -> None:
        """Send at the rate, until stopped."""
        sent_until = time.monotonic()
        while not self._is_stopping.is_set():
            sent_until = max(sent_until, time.monotonic() - LARGEST_BURST_SECONDS)
            while sent_until < time.monotonic() and not self._is_stopping.is_set():
                sent_until += 1 / self._rate
                await self._send(producer, self._stream.draw(time.time_ns() // 1_000_000))
            await asyncio.sleep(TICK_SECONDS)

    async def _send(self, producer: AIOKafkaProducer, sent: Sent) -> None:
        on_its_way = await producer.send(
            sent.topic,
            key=sent.key,
            value=sent.value,
            timestamp_ms=sent.time_ms,
            headers=[(TRUTH, sent.truth.encode())],
        )
        self.outcomes["sent"] += 1
        on_its_way.add_done_callback(self._settle)

    def _settle(self, done: "asyncio.Future[object]") -> None:
        failed = done.cancelled() or done.exception() is not None
        self.outcomes["not acknowledged" if failed else "acknowledged"] += 1


async def _main(servers: str, seed: int, rate: float, mix: Mix) -> None:
    producing = Producing(servers, Stream(seed, mix), rate)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, producing.stop)
    await producing.run()
    log.warning("%s", json.dumps(producing.outcomes))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(
        logging.CRITICAL
    )  # it says thousands of times that the broker is away
    servers_, seed_, rate_, mix_ = sys.argv[1:5]
    asyncio.run(_main(servers_, int(seed_), float(rate_), Mix(**json.loads(mix_))))
