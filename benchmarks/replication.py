"""What sharing and keeping what is learned costs: examples, counting them, checkpoints. No broker needed.

python -m benchmarks.replication LOG [--limit N]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.checkpoint import CheckpointFolder, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.events import Interaction
from streams.examples import ExamplesRecorder, decode_examples
from streams.learned import digests, restore, snapshot
from streams.logs import read_log
from streams.recommender import Recommender, Record
from streams.settings import Settings, load_settings

EVENTS_PER_TRANSACTION = (1, 10, 250)
PARTITIONS = 4
MANY_ITEMS = 100_000
REPEATS = 7


def main() -> None:
    """Print every figure with what it was measured on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    interactions = list(read_log(arguments.log, arguments.limit))
    print(f"{arguments.log}: {len(interactions):,} events")
    for size in EVENTS_PER_TRANSACTION:
        measure_examples(interactions[: 20_000 if size == 1 else None], size)
    measure_checkpoint(interactions)


def measure_examples(interactions: Sequence[Interaction], size: int) -> None:
    """Measure the bytes of examples an event, and what it costs to count another worker's event."""
    settings = load_settings(environment={}, overrides=["device=cpu"])
    one, overlay = Recommender(settings, "one"), Overlay(MemoryStore())
    written = [
        data for batch in transactions(settings, interactions, size) if (data := taught(one, batch, overlay))
    ]
    other = Recommender(settings, "other")
    started = time.process_time()
    counted = sum(other.count_examples(decode_examples(data)) for data in written)
    seconds = time.process_time() - started
    if digests(one)["counters"] != digests(other)["counters"]:
        raise SystemExit("the counters differ: nothing here means anything")
    print(
        f"  {size:4d} events a transaction: {sum(map(len, written)) / counted:6.1f} bytes an event, "
        f"{1e6 * seconds / counted:5.1f} CPU microseconds to count one of another worker"
    )


def transactions(
    settings: Settings, interactions: Sequence[Interaction], size: int
) -> Iterator[list[Record]]:
    """Give the events of one partition after the other in transactions of so many."""
    topic = next(iter(settings.sources))
    for start in range(0, len(interactions), size):
        partition = start // size % PARTITIONS
        yield [
            Record(topic, partition, start + number, [interaction])
            for number, interaction in enumerate(interactions[start : start + size])
        ]


def taught(recommender: Recommender, records: list[Record], overlay: Overlay) -> bytes | None:
    """Apply a transaction and return its examples."""
    first, last = records[0], records[-1]
    recorder = ExamplesRecorder("freshet", recommender.worker_id, first.partition)
    recommender.step(records, overlay, recorder)
    return recorder.close({first.topic: (first.offset, last.offset + 1)})


def measure_checkpoint(interactions: Sequence[Interaction]) -> None:
    """Measure the pause, size, write and load of a checkpoint after the log and with many items."""
    settings = load_settings(environment={}, overrides=["device=cpu"])
    recommender, overlay = Recommender(settings), Overlay(MemoryStore())
    for batch in transactions(settings, interactions, EVENTS_PER_TRANSACTION[-1]):
        recommender.step(batch, overlay)
    report_checkpoint(recommender)
    for number in range(len(recommender.catalog), MANY_ITEMS):
        recommender.counts.correct(recommender.catalog.admit(f"another item {number}"), 1)
    report_checkpoint(recommender)


def report_checkpoint(recommender: Recommender) -> None:
    """Print medians of what a checkpoint costs."""
    pauses, writes, loads = [], [], []
    with tempfile.TemporaryDirectory() as directory:
        folder = CheckpointFolder(Path(directory))
        for _ in range(REPEATS):
            started = time.perf_counter()
            arrays, facts = snapshot(recommender)
            copied = time.perf_counter()
            file = folder.write(encode_checkpoint(arrays, facts))
            written = time.perf_counter()
            found = folder.newest()
            if found is None:
                raise SystemExit(f"{file} is not there")
            restore(Recommender(recommender.settings), *found[1:])
            pauses.append(copied - started)
            writes.append(written - copied)
            loads.append(time.perf_counter() - written)
            size = file.stat().st_size
    print(
        f"  checkpoint of {len(recommender.catalog):,} items: pause {1e3 * statistics.median(pauses):.0f} ms "
        f"(longest {1e3 * max(pauses):.0f}), {size / 2**20:.1f} MiB, "
        f"write {1e3 * statistics.median(writes):.0f} ms, load {1e3 * statistics.median(loads):.0f} ms"
    )


if __name__ == "__main__":
    main()
