"""Groups of workers that all read the same sources: each has its own users' states, counters and topics."""

import signal
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.connection import admin, consumer
from streams.events import decode_list, decode_receipt
from streams.examples import decode_examples
from streams.settings import Settings
from tests.crash_points.launcher import ARMED, GO_ON, Order, run
from tests.crash_points.source import Position, Source
from tests.streams.forking import FORKS, Forked
from tests.streams.running import WorkerProcess

REACH_SECONDS = 40.0
LEVEL_SECONDS = 60.0


class Stoppable(Forked):
    """A worker's process, and the pipe by which it is told where to stop."""

    def __init__(self, settings: Settings, log: Path, order: Order | None) -> None:
        self.control, theirs = FORKS.Pipe()
        super().__init__(run, settings, theirs, order, log=log)
        theirs.close()

    def close(self) -> None:
        """End it at once."""
        super().close()
        self.control.close()


@dataclass
class Worker(WorkerProcess):
    """A worker that can be told where to stop."""

    process: Any
    place: str = ""  # the name of its data directory in its group

    @property
    def is_ready(self) -> bool:
        """Whether it says so."""
        return self.get("/ready")[0] == 200

    @property
    def control(self) -> Connection:
        """Where it is told, and tells."""
        control: Connection = self.process.control
        return control

    def arm(self, order: Order) -> None:
        """Tell it where to stop, and wait until it knows."""
        self.control.send(order)
        self.hear(ARMED)

    def hear(self, word: str) -> None:
        """Wait until it tells this; fails with its log if it ends without."""
        heard = None
        try:
            if self.control.poll(REACH_SECONDS):
                heard = self.control.recv()
        except (EOFError, ConnectionResetError):
            heard = f"nothing: it ended with {self.process.wait(10)}"
        if heard != word:
            told = self.log.read_text(encoding="utf-8")[-3000:]
            pytest.fail(f"expected to hear {word!r} of {self.settings.group}, heard {heard!r}\n{told}")

    def go_on(self) -> None:
        """Continue it where it was frozen."""
        self.process.send_signal(signal.SIGCONT)
        self.control.send(GO_ON)


class Group:
    """One group over the shared sources, and all that it wrote."""

    def __init__(self, settings: Settings, name: str, directory: Path) -> None:
        topics = msgspec.structs.replace(
            settings.topics,
            recommendations=f"{name}-recommendations",
            dead_letters=f"{name}-dead-letters",
            erasure_receipts=f"{name}-erasure-receipts",
        )
        self.settings = msgspec.structs.replace(settings, group=name, topics=topics)
        self.workers: list[Worker] = []
        self.worker: Worker  # the one that works, once it was started
        self._directory = directory / name
        self._directory.mkdir()
        self._outputs: Outputs | None = None

    def start(self, place: str, order: Order | None = None) -> Worker:
        """Start a worker with a data directory of this name, armed from the first moment if so ordered."""
        settings = msgspec.structs.replace(self.settings, data_directory=str(self._directory / place))
        log = self._directory / f"worker-{len(self.workers)}.log"
        worker = Worker(settings, Stoppable(settings, log, order), log, place)
        self.workers.append(worker)
        if order is not None:
            worker.hear(ARMED)
        return worker

    def wait_level(self, worker: Worker, source: Source) -> None:
        """Wait until this worker alone has applied everything that was sent, durably."""
        worker.wait_until(lambda: self.is_level(worker, source), "everything applied", LEVEL_SECONDS)

    def is_level(self, worker: Worker, source: Source) -> bool:
        """Whether this worker alone has applied everything that was sent, durably."""
        lanes = worker.describe().get("partitions", [])
        reached = {
            (topic, lane["partition"]): offset
            for lane in lanes
            if lane["state"] == "ready"
            for topic, offset in lane["next"].items()
        }
        return reached == source.ends and worker.is_ready

    def committed(self) -> dict[tuple[str, int], int]:
        """Return the group's committed offsets."""
        with admin(self.settings) as client:
            (offsets,) = client.list_group_offsets([self.settings.group]).values()
        return {(tp.topic, tp.partition): at.offset for tp, at in offsets.items()}

    def outputs(self) -> "Outputs":
        """Return what the group has written until now, as a read-committed reader has it."""
        if self._outputs is None:
            self._outputs = Outputs(self.settings)
        self._outputs.read()
        return self._outputs

    def close(self) -> None:
        """End all that runs."""
        for worker in self.workers:
            worker.process.close()
        if self._outputs is not None:
            self._outputs.close()
            self._outputs = None


class Outputs:
    """All that a group writes for others, read committed, from its topics' beginnings on."""

    def __init__(self, settings: Settings) -> None:
        from kafka import TopicPartition

        self.dead_letters: Counter[Position] = Counter()
        self.examples: Counter[Position] = Counter()
        self.receipts: Counter[tuple[str, Position]] = Counter()
        self.lists: Counter[tuple[str, tuple[Any, ...]]] = Counter()
        self.newest: dict[str, dict[str, tuple[int, int]]] = {}
        self._settings = settings
        self._reader = consumer(settings)
        ours, partitions = settings.topics, range(settings.topics.partitions)
        topics = (ours.dead_letters, ours.recommendations, ours.erasure_receipts, settings.examples_topic)
        self._tps = [TopicPartition(topic, partition) for topic in topics for partition in partitions]
        self._reader.assign(self._tps)
        self._reader.seek_to_beginning(*self._tps)

    def read(self) -> None:
        """Read on to what is committed now."""
        ends = self._reader.end_offsets(self._tps)
        while any(self._reader.position(tp) < ends[tp] for tp in self._tps):
            for records in self._reader.poll(timeout_ms=200).values():
                for record in records:
                    self._take(record)

    def close(self) -> None:
        """Let go of the broker."""
        self._reader.close()

    def _take(self, record: Any) -> None:  # noqa: ANN401 - kafka-python has no types
        if record.topic == self._settings.topics.dead_letters:
            headers = dict(record.headers)
            self.dead_letters[
                headers["source-topic"].decode(),
                int(headers["source-partition"]),
                int(headers["source-offset"]),
            ] += 1
        elif record.topic == self._settings.topics.erasure_receipts:
            erased = decode_receipt(record.value)
            partition, offset = erased.positions[self._settings.topics.erasures]
            self.receipts[erased.user_id, (self._settings.topics.erasures, partition, offset)] += 1
        elif record.topic == self._settings.topics.recommendations and record.value is None:
            self.newest.pop(record.key.decode(), None)
        elif record.topic == self._settings.topics.recommendations:
            made = decode_list(record.value)
            self.lists[made.user_id, tuple(sorted(made.positions.items()))] += 1
            self.newest[made.user_id] = dict(made.positions)
        else:
            examples = decode_examples(record.value)
            for event in examples.events:
                self.examples[event.topic, examples.partition, event.offset] += 1
