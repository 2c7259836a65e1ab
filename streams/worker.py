"""The worker: builds everything, and hands it to Faust. The only place where all rooms meet."""

import asyncio
import logging
import os
import signal
import threading
from pathlib import Path

import faust
import uvloop
from faust.tables import TableManager

from streams import transport
from streams.checkpointing import load_newest
from streams.chunk import CHUNK_RECORDS
from streams.garbage import collect_seldom
from streams.identity import announce, claim, forget_address
from streams.replication import verify_positions
from streams.runtime import FRAMEWORK, Runtime, servers_of
from streams.settings import Settings
from streams.topics import verify_topics

SESSION_TIMEOUT_SECONDS = 6.0
HEARTBEAT_SECONDS = 2.0
REBALANCE_TIMEOUT_SECONDS = 20.0
COMMIT_INTERVAL_SECONDS = 1.0
BUFFERED_CHUNKS = 4
FETCH_BYTES = 2**20  # of a topic of a partition, unless there are many
ALL_FETCH_BYTES = 64 * 2**20
LEAST_FETCH_BYTES = 2**16
CLOSING_SECONDS = 0.1  # for the loop, when everything in it has stopped
STOP_SECONDS = 8.0  # less than the ten that containers get between SIGTERM and SIGKILL

log = logging.getLogger(__name__)


def run_worker(settings: Settings) -> int:
    """Run a worker until it is told to stop; return its exit code. Raises FreshetError if it cannot start."""
    layout = verify_topics(settings)
    directory = Path(settings.data_directory)
    with claim(directory, settings.group) as identity:
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        runtime = Runtime(settings, layout, identity)
        load_newest(directory, runtime.recommender)
        verify_positions(settings, runtime.recommender.examples_positions)
        runtime.web.bind()
        with announce(directory, settings.metrics_host, runtime.web.port):
            return _execute(settings, runtime)


def _execute(settings: Settings, runtime: Runtime) -> int:
    transport.install()
    app = _app(settings, runtime)
    runtime.app = app
    worker = _Worker(
        app,
        runtime,
        quiet=True,
        override_logging=False,
        redirect_stdouts=False,
        loop=asyncio.new_event_loop(),
    )
    collect_seldom()
    worker.spinner = None  # it writes to the terminal of whoever started us
    worker.data_directory = Path(settings.data_directory)
    log.info("worker %s: http://%s:%d", runtime.identity.worker_id, settings.metrics_host, runtime.web.port)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        worker.has_stopped()
    return 0


class _Worker(faust.Worker):  # type: ignore[misc]
    """Faust's worker, which ends when it is told to, also if no broker lets it take its leave."""

    data_directory: Path
    _deadline: threading.Timer | None = None

    def _schedule_shutdown(self, received: signal.Signals) -> None:
        if self._deadline is None:
            self._deadline = threading.Timer(STOP_SECONDS, self._leave)
            self._deadline.daemon = True
            self._deadline.start()
        super()._schedule_shutdown(received)

    def _leave(self) -> None:
        """End the process. Nothing is lost: what was not committed is delivered to the next owner."""
        log.warning("not stopped after %.0f s, perhaps for want of a broker: leaving at once", STOP_SECONDS)
        forget_address(self.data_directory)
        logging.shutdown()
        os._exit(0)

    async def _sentinel_task(self) -> None:
        """Let the loop do what is left before it is closed; mode sleeps for a second."""
        await asyncio.sleep(CLOSING_SECONDS)

    def has_stopped(self) -> None:
        """Leave the process alone: all went well."""
        if self._deadline is not None:
            self._deadline.cancel()


class _Tables(TableManager):  # type: ignore[misc]
    """Faust's tables, of which there are none here: it waits a second for more of them before it begins."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class _App(faust.App):  # type: ignore[misc]
    """Faust's app, which lets what is in hand become durable before it leaves its group."""

    logger = FRAMEWORK
    runtime: Runtime

    async def on_stop(self) -> None:
        await self.runtime.drain()
        await super().on_stop()


def _app(settings: Settings, runtime: Runtime) -> _App:
    app = _App(
        settings.group,
        broker=[f"kafka://{server}" for server in servers_of(settings)],
        datadir=str(Path(settings.data_directory) / "faust"),
        store="memory://",
        TableManager=_Tables,
        env_prefix="FAUST_OF_FRESHET_",  # else it reads common names like BROKER_URL from the environment
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        topic_partitions=runtime.layout.partitions,
        table_standby_replicas=1,  # the assignor that keeps the topics of a partition number together
        stream_buffer_maxsize=BUFFERED_CHUNKS,
        # What was fetched stays as it came, compressed perhaps, until there is room for its records.
        broker_max_poll_records=min(CHUNK_RECORDS, runtime.room.records),
        consumer_max_fetch_size=_fetch_bytes(runtime.layout.partitions * len(settings.inputs)),
        broker_session_timeout=SESSION_TIMEOUT_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_rebalance_timeout=REBALANCE_TIMEOUT_SECONDS,
        broker_commit_interval=COMMIT_INTERVAL_SECONDS,
    )
    app.runtime = runtime
    for name in settings.inputs:
        topic = app.topic(name, key_type=bytes, value_type=None, value_serializer="raw")
        app.agent(topic, name=f"{name} to lanes")(runtime.deliver)
    return app


def _fetch_bytes(inputs: int) -> int:
    """Return what to fetch at once of each of so many topics of partitions; a larger record comes, too."""
    return min(FETCH_BYTES, max(ALL_FETCH_BYTES // inputs, LEAST_FETCH_BYTES))
