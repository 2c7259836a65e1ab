"""A worker and a backlog: how fast the lag falls, what it costs in lists and memory, also on a slow disk.

python -m benchmarks.overload [--events 1000000] [--users 4000] [--partitions 4] [--hot 0.2] [--disk-ms 50]
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import MethodType

import msgspec
import numpy as np

from state import RocksStore
from streams.broker import running_broker
from streams.connection import producer
from streams.demo.stage import own_settings
from streams.demo.worker import main as run_worker
from streams.guard import Guarded, spawn_guarded
from streams.identity import read_address
from streams.settings import Settings, load_settings
from streams.topics import create_topics

SAMPLE_SECONDS = 1.0
ROWS = 24
START_MS = 1_763_880_000_000
START_SECONDS = 120.0
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Sample:
    """What a worker said of itself, `seconds` after it was started."""

    seconds: float
    applied: int
    lag: int
    lists: int
    memory_bytes: int
    trouble: str  # why it is not ready, nothing if it is


def main() -> None:
    """Write a backlog, start a worker, and print what it says every second until nothing is left."""
    arguments = _arguments()
    if arguments.worker is not None:
        slow_down(arguments.disk_ms / 1000)
        sys.exit(run_worker(arguments.worker))
    wanted = load_settings(overrides=[f"topics.partitions={arguments.partitions}"])
    with tempfile.TemporaryDirectory() as name, running_broker(wanted) as broker:
        directory = Path(name)
        settings = own_settings(wanted, broker.bootstrap_servers, directory)
        create_topics(settings)
        started = time.monotonic()
        write_backlog(settings, arguments)
        print(
            f"{arguments.events:,} events of {arguments.users:,} users in {time.monotonic() - started:.0f} s"
        )
        with spawn_worker(settings, directory, arguments.disk_ms) as worker:
            samples = watch(settings, worker, arguments.events, directory)
            worker.terminate()
            worker.wait(30)
    report(samples, arguments.events)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=4_000)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--hot", type=float, default=0.0, help="share of the events that one user has")
    parser.add_argument("--bytes", type=int, default=0, help="bytes that every message carries besides")
    parser.add_argument(
        "--disk-ms", type=float, default=0.0, help="how long every write to disk takes longer"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def slow_down(seconds: float) -> None:
    """Let every write of users to the disk of this process take so much longer."""
    write = RocksStore.write

    def slow(store: RocksStore, changes: Mapping[bytes, bytes | None]) -> None:
        time.sleep(seconds)
        MethodType(write, store)(changes)

    if seconds:
        RocksStore.write = slow  # type: ignore[method-assign]


def spawn_worker(settings: Settings, directory: Path, disk_ms: float) -> Guarded:
    """Start a worker with these settings, whose log lies in the directory."""
    file = directory / "freshet.json"
    file.write_bytes(msgspec.json.encode(settings))
    command = [sys.executable, "-m", "benchmarks.overload", "--worker", str(file), "--disk-ms", str(disk_ms)]
    return spawn_guarded(command, stdout=directory / "worker.log")


def write_backlog(settings: Settings, arguments: argparse.Namespace) -> None:
    """Send the events, skewed like a shop's, with times a millisecond apart."""
    rng = np.random.default_rng(arguments.seed)
    users = _skewed(rng, arguments.users, arguments.events)
    users[rng.random(arguments.events) < arguments.hot] = 0
    items = _skewed(rng, arguments.items, arguments.events)
    topics = list(settings.sources)
    sources = rng.random(arguments.events) < 0.1
    padding = f',"more":"{"x" * arguments.bytes}"' if arguments.bytes else ""
    packed = {"compression_type": "gzip"} if arguments.bytes else {}  # as senders of long messages do
    with producer(settings, linger_ms=20, batch_size=256 * 1024, **packed) as sender:
        for number, (user, item, source) in enumerate(zip(users, items, sources, strict=True)):
            message = f'{{"user_id":"u{user}","item_id":"i{item}","timestamp":{START_MS + number}{padding}}}'
            sender.send(topics[int(source)], message.encode(), f"u{user}".encode())
        sender.flush()


def _skewed(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return numbers below `count`, shape (size,): the n-th is as frequent as 1 / (n + 10)."""
    shares = 1.0 / (np.arange(count) + 10)
    return rng.choice(count, size, p=shares / shares.sum())


def watch(settings: Settings, worker: Guarded, events: int, directory: Path) -> list[Sample]:
    """Look at the worker every second until all is applied; raises SystemExit if it ends before."""
    started = time.monotonic()
    samples: list[Sample] = []
    while not samples or samples[-1].applied < events:
        time.sleep(SAMPLE_SECONDS)
        if worker.returncode is not None or (not samples and time.monotonic() - started > START_SECONDS):
            raise SystemExit(f"no worker: {(directory / 'worker.log').read_text()[-2000:]}")
        sample = look(settings, events, time.monotonic() - started)
        if sample is not None:
            samples.append(sample)
    return samples


def look(settings: Settings, events: int, seconds: float) -> Sample | None:
    """Return what the worker says now, None while it does not answer."""
    address = read_address(Path(settings.data_directory))
    if address is None:
        return None
    base = f"http://{address.host}:{address.port}"
    try:
        series = _get(f"{base}/metrics")[1]
        status, told = _get(f"{base}/ready")
        pages = int(Path(f"/proc/{address.pid}/statm").read_text().split()[1])
    except OSError:
        return None
    sums: dict[str, float] = {}
    for line in series.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if not line.startswith("#"):
            sums[name] = sums.get(name, 0.0) + float(line.rsplit(" ", 1)[1])
    applied = int(sums.get("freshet_events_total", 0))
    trouble = "" if status == 200 else told.strip()
    return Sample(
        seconds, applied, events - applied, int(sums.get("freshet_lists_total", 0)), pages * 4096, trouble
    )


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - always http
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def report(samples: list[Sample], events: int) -> None:
    """Print a table of some of the samples, and what holds for all of them."""
    print("seconds      lag    lists  memory MiB  ready")
    for sample in samples[:: max(1, len(samples) // ROWS)] + samples[-1:]:
        print(
            f"{sample.seconds:7.0f} {sample.lag:8,} {sample.lists:8,} {sample.memory_bytes / MEBIBYTE:11.0f}"
            f"  {sample.trouble or 'yes'}"
        )
    working = [sample for sample in samples if 0 < sample.applied < events] or samples
    facts = {
        "events_per_second": round(events / max(samples[-1].seconds - working[0].seconds, 1)),
        "peak_memory_mebibytes": round(max(sample.memory_bytes for sample in samples) / MEBIBYTE),
        "lists": samples[-1].lists,
        "seconds_without_progress": sum(one.applied == other.applied for one, other in pairwise(working)),
        "seconds_not_ready": sum(bool(sample.trouble) for sample in working),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
