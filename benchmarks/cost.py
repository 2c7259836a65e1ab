"""What a step of the recommender, and a list, cost: CPU microseconds on one core, without Kafka.

python -m benchmarks.cost LOG [--limit 20000] [--chunk 250] [--repeats 3] [--efforts full half low]

Set OPENBLAS_NUM_THREADS, OMP_NUM_THREADS and NUMBA_NUM_THREADS to 1. Repeats of the efforts take turns, so
that a machine that is busy for a while is so to all of them; told is the median of the repeats. A chunk's
users are written to a store in memory behind it, which is not measured. What was there before a repeat is
kept out of the collection of garbage: how often a short run looks at the whole heap would be a matter of
luck.
"""

import argparse
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from models.effort import EFFORTS
from state.memory import MemoryStore
from state.overlay import Overlay
from streams.examples import ExamplesRecorder
from streams.garbage import collect_seldom
from streams.logs import read_log
from streams.recommender import Recommender, Record
from streams.settings import Settings

MICROSECONDS = 1e6
LISTS = 400


def main() -> None:
    """Print CPU microseconds an event, and a list, at every effort."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("log", type=Path)
    parser.add_argument("--limit", type=int, help="the whole log if not given")
    parser.add_argument("--chunk", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--efforts", nargs="*", choices=list(EFFORTS), default=list(EFFORTS))
    parser.add_argument("--exclude", choices=["nothing", "seen", "purchased"], default="nothing")
    arguments = parser.parse_args()
    settings = Settings(device="cpu", exclude=arguments.exclude)
    records = [
        Record(settings.source_of(event.action), 0, number, [event])
        for number, event in enumerate(read_log(arguments.log, arguments.limit))
    ]
    measure(settings, records[:2000], arguments.chunk)  # loads what is compiled
    costs: dict[str, list[tuple[float, float]]] = {effort: [] for effort in arguments.efforts}
    for _ in range(arguments.repeats):
        for effort, theirs in costs.items():
            theirs.append(measure(msgspec.structs.replace(settings, effort=effort), records, arguments.chunk))
    print(f"{arguments.log}: {len(records):,} events, chunks of {arguments.chunk}, CPU microseconds")
    for effort, theirs in costs.items():
        event, made = (median(column) for column in zip(*theirs, strict=True))
        spread = " to ".join(f"{bound(each[0] for each in theirs):.0f}" for bound in (min, max))
        print(f"{effort:5} {event:6.1f} an event ({spread}), {made:7.1f} a list")


def measure(settings: Settings, records: Sequence[Record], chunk: int) -> tuple[float, float]:
    """Return the CPU microseconds of an event and of a list."""
    recommender, store = Recommender(settings), MemoryStore()
    overlay, seconds = Overlay(store), 0.0
    collect_seldom()  # as a worker does
    for start in range(0, len(records), chunk):
        recorder = ExamplesRecorder(settings.group, "benchmark", 0)
        begun = time.process_time()
        recommender.step(records[start : start + chunk], overlay, recorder)
        seconds += time.process_time() - begun
        store.write(overlay.changes())
        overlay.settle()
    users = dict.fromkeys(line.user_id for record in records[-LISTS:] for line in record.interactions)
    asked = [overlay.user(user_id) for user_id in users]
    recommender.recommend(asked[:20], 0)
    begun = time.process_time()
    recommender.recommend(asked, 0)
    of_lists = time.process_time() - begun
    gc.unfreeze()
    return seconds / len(records) * MICROSECONDS, of_lists / len(asked) * MICROSECONDS


if __name__ == "__main__":
    main()
