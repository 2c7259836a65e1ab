"""A worker on a real Kafka: how much it takes, how fresh its lists are, how much memory it holds.

python -m benchmarks.stream LOG [--items FILE] [--limit N] [--rate 200] [--rate-seconds 30]
"""

import argparse
import json
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from streams.demo.cast import Reader
from streams.demo.stage import Stage, open_stage
from streams.events import Interaction
from streams.feed import Feed, Pace
from streams.logs import read_items, read_log
from streams.settings import load_settings

POLL_SECONDS = 0.2


def main() -> None:
    """Print a backlog's events per second, then freshness at a steady rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--rate-seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    interactions = list(read_log(arguments.log, arguments.limit))
    steady = min(int(arguments.rate * arguments.rate_seconds), len(interactions) // 2)
    with open_stage(load_settings(), keep=False, say=print) as stage:
        reader = Reader(stage.settings)
        reader.start()
        if arguments.items:
            with Feed(stage.settings) as feed:
                for item in read_items(arguments.items):
                    feed.item(item)
        measure_backlog(stage, interactions[:-steady])
        measure_freshness(stage, reader, interactions[-steady:], arguments.rate)
        check_lists(stage, reader, interactions)
        reader.finish()


def measure_backlog(stage: Stage, interactions: Sequence[Interaction]) -> None:
    """Send as fast as Kafka takes it; measure until all of it is applied."""
    started = time.perf_counter()
    with Feed(stage.settings) as feed:
        for interaction in interactions:
            feed.interaction(interaction)
    sent = time.perf_counter()
    wait_applied(stage, len(interactions))
    seconds = time.perf_counter() - started
    print(
        f"backlog: {len(interactions):,} events sent in {sent - started:.1f} s, applied in {seconds:.1f} s: "
        f"{len(interactions) / seconds:,.0f} events/s; memory {memory_bytes(stage) / 2**20:.0f} MiB"
    )


def measure_freshness(stage: Stage, reader: Reader, interactions: Sequence[Interaction], rate: float) -> None:
    """Send at a steady rate; measure from an event sent to the list that reflects it read."""
    times: dict[tuple[str, int, int], float] = {}
    applied = series(stage, "freshet_events_total")
    with Feed(stage.settings) as feed:
        pace = Pace()
        for number, interaction in enumerate(interactions):
            pace.wait_until(number / rate)
            now = time.time()
            feed.interaction(interaction).add_callback(
                lambda at, now=now: times.__setitem__((at.topic, at.partition, at.offset), now)
            )
    wait_applied(stage, int(applied) + len(interactions))
    time.sleep(1)
    delays = reader.freshness_seconds(times)
    told = ", ".join(f"p{q} {1e3 * delays[int(len(delays) * q / 100)]:.0f} ms" for q in (50, 90, 99))
    print(f"freshness at {rate:.0f} events/s, {len(delays):,} lists: {told}")


def check_lists(stage: Stage, reader: Reader, interactions: Sequence[Interaction]) -> None:
    """Say whether every user has a list, and whether every event was applied once."""
    users = {interaction.user_id for interaction in interactions}
    applied = series(stage, "freshet_events_total")
    print(
        f"applied {applied:,.0f} of {len(interactions):,}; "
        f"{len(reader.shown):,} of {len(users):,} users have lists"
    )


def wait_applied(stage: Stage, events: int) -> None:
    """Wait until the worker has applied so many events."""
    while series(stage, "freshet_events_total") < events:
        stage.check()
        time.sleep(POLL_SECONDS)


def series(stage: Stage, name: str) -> float:
    """Return a series of the worker, summed over its labels."""
    lines = stage.scrape().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.partition("{")[0] == name)


def memory_bytes(stage: Stage) -> int:
    """Return what the worker's process holds."""
    url = stage.metrics_url.replace("/metrics", "/inspect/worker")
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - always http
        return int(json.load(answer)["memory_bytes"])


if __name__ == "__main__":
    main()
