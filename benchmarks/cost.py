"""What a step of the recommender, and a list, cost: CPU microseconds on one core, without Kafka.

python -m benchmarks.cost LOG [--limit 20000] [--chunk 250] [--repeats 3] [--items F] [--relations F]
    [--vary effort=full effort=half "interest=on graph=off"]

Set OPENBLAS_NUM_THREADS, OMP_NUM_THREADS and NUMBA_NUM_THREADS to 1. `--vary` has what is compared, one or
more settings; repeats of them take turns, so that a machine that is busy for a while is so to all of them;
told is the median of the repeats. With --items, what they say is known from the beginning (their texts by
n-grams); taking them in is not measured. A chunk's users are written to a store in memory behind it, which
is not measured either. What was there before a repeat is kept out of the collection of garbage: how often a
short run looks at the whole heap would be a matter of luck.
"""

import argparse
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from state.memory import MemoryStore
from state.overlay import Overlay
from streams.encoding import open_encoding
from streams.evaluation import Listing, listing_of
from streams.examples import ExamplesRecorder
from streams.garbage import collect_seldom
from streams.logs import read_items, read_log, read_relations
from streams.metrics import Metrics
from streams.recommender import Recommender, Record
from streams.settings import Settings, load_settings

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
    parser.add_argument("--items", type=Path)
    parser.add_argument("--relations", type=Path)
    parser.add_argument("--vary", nargs="*", default=["effort=full", "effort=half", "effort=low"])
    arguments = parser.parse_args()
    listing = Listing()
    if arguments.items is not None:
        relations = {} if arguments.relations is None else read_relations(arguments.relations)
        listing = listing_of(read_items(arguments.items), relations, False, 0)
    settings = {each: settings_of(each) for each in arguments.vary}
    records = [
        Record(Settings().source_of(event.action), 0, number, [event])
        for number, event in enumerate(read_log(arguments.log, arguments.limit))
    ]
    costs: dict[str, list[tuple[float, float]]] = {each: [] for each in settings}
    for each in settings.values():
        measure(each, records[:2000], arguments.chunk, listing)  # loads what is compiled
    for _ in range(arguments.repeats):
        for each, theirs in costs.items():
            theirs.append(measure(settings[each], records, arguments.chunk, listing))
    print(f"{arguments.log}: {len(records):,} events, chunks of {arguments.chunk}, CPU microseconds")
    for each, theirs in costs.items():
        event, made = (median(column) for column in zip(*theirs, strict=True))
        spread = " to ".join(f"{bound(cost for cost, _ in theirs):.0f}" for bound in (min, max))
        print(f"{event:6.1f} an event ({spread}), {made:7.1f} a list: {each}")


def settings_of(words: str) -> Settings:
    """Return the settings of "name=value name=value", on a CPU and, unless they say, at full effort."""
    defaults = ["device=cpu", "effort=full", "encoder=ngrams"]
    return load_settings(environment={}, overrides=[*defaults, *words.split()])


def measure(
    settings: Settings, records: Sequence[Record], chunk: int, listing: Listing
) -> tuple[float, float]:
    """Return the CPU microseconds of an event and of a list."""
    recommender, store = Recommender(settings), MemoryStore()
    enlist(recommender, listing)
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


def enlist(recommender: Recommender, listing: Listing) -> None:
    """Have a recommender know the items, and wait for their texts."""
    with TemporaryDirectory() as folder:
        texts = open_encoding(recommender.settings, Path(folder), Metrics()) if listing.items else None
        if texts is not None:
            recommender.assortment.read_texts(texts)
        for item in listing.items:
            recommender.assortment.enlist(item, listing.is_open)
        if texts is not None:
            texts.drain()


if __name__ == "__main__":
    main()
