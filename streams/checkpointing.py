"""Writes what was learned to the data directory, once in a while, beside the stream."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from models.checkpoint import Arrays, CheckpointFolder, Facts, NewerCheckpointError, encode_checkpoint
from streams.errors import ConfigurationError
from streams.identity import CHECKPOINTS
from streams.learned import restore, snapshot
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.threads import InThread

log = logging.getLogger(__name__)


def load_newest(directory: Path, recommender: Recommender) -> None:
    """Let a fresh recommender go on from the newest whole checkpoint of a data directory, if there is one.

    Raises ConfigurationError for one of a newer version, of another group or of another model.
    """
    try:
        found = CheckpointFolder(directory / CHECKPOINTS).newest()
    except NewerCheckpointError as error:
        raise ConfigurationError(str(error)) from None
    if found is None:
        return
    file, arrays, facts = found
    try:
        restore(recommender, arrays, facts)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{file} does not fit this version: {error!r}; `freshet reset`") from None
    log.info("goes on from %s: model %s, %d events", file, facts["model_version"], facts["events"])


class Checkpointer:
    """Takes a checkpoint every so many seconds.

    The stream pauses only while the arrays are copied, in the model's thread, where no event is half applied.
    What the copy covers is in it: for each source partition the offset up to which events were counted, so
    that whatever comes again, from the sources or from the examples log, is counted once.
    """

    def __init__(
        self, directory: Path, seconds: float, recommender: Recommender, metrics: Metrics, in_thread: InThread
    ) -> None:
        self._folder = CheckpointFolder(directory / CHECKPOINTS)
        self._seconds = seconds
        self._recommender = recommender
        self._metrics = metrics
        self._in_thread = in_thread
        self._written = time.monotonic()
        self._one_at_a_time = asyncio.Lock()

    async def run(self, must_stop: Callable[[], bool]) -> None:
        """Take checkpoints until told; one that cannot be written is said, and tried again later."""
        while True:
            await asyncio.sleep(self._seconds)
            if must_stop():
                return  # the last one is taken when everything else has ended
            await self.take()

    async def take(self) -> None:
        """Take one now."""
        async with self._one_at_a_time:
            arrays, facts = await self._in_thread(self._copy)
            try:
                await asyncio.to_thread(self._write, arrays, facts)
            except OSError as error:
                log.error("no checkpoint could be written to %s: %s", self._folder.directory, error)

    @property
    def age_seconds(self) -> float:
        """How long ago the last one was written, or the worker started."""
        return time.monotonic() - self._written

    def _copy(self) -> tuple[Arrays, Facts]:
        started = time.perf_counter()
        copied = snapshot(self._recommender)
        self._metrics.checkpoint_pause_seconds.observe(time.perf_counter() - started)
        return copied

    def _write(self, arrays: Arrays, facts: Facts) -> None:
        data = encode_checkpoint(arrays, facts)
        self._folder.write(data)
        self._metrics.checkpoint_bytes.set(len(data))
        self._written = time.monotonic()
