"""What kills and several workers cost in quality, on a real Kafka: counters must be equal, NDCG@10 close.

python -m benchmarks.sharing LOG [--limit N] [--teams N ...] [--rate R] [--joins N ...]

On the same log: one worker undisturbed; one killed in the middle; three of which one is killed and replaced.
Then how long a worker with an empty disk takes to be ready, from examples and from a checkpoint.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from models.catalog import item_key
from models.checkpoint import CheckpointFolder
from state import Exclusions, UserState
from state.overlay import User
from streams.broker import running_broker
from streams.connection import producer
from streams.demo.stage import ask, own_settings, spawn_worker, wait_ready
from streams.events import Interaction
from streams.examples import ExamplesRecorder
from streams.feed import Feed, Pace
from streams.guard import Guarded
from streams.identity import CHECKPOINTS
from streams.logs import read_log
from streams.settings import Settings, load_settings
from streams.topics import create_topics

POLL_SECONDS = 0.5
TAUGHT_AT_ONCE = 250


@dataclass
class Member:
    """A worker process, and what it had said when it was last asked."""

    settings: Settings
    process: Guarded
    url: str
    sums: dict[str, float] = field(default_factory=dict)

    def look(self) -> dict[str, float]:
        """Return the worker's series, summed over all labels but the scorer's own."""
        self.sums = {}
        for line in ask(self.url).splitlines():
            name, _, rest = line.partition("{")
            if rest and 'scorer="' in rest and 'scorer="freshet"' not in rest:
                continue
            if not line.startswith("#"):
                key = name if rest else line.split(" ")[0]
                self.sums[key] = self.sums.get(key, 0.0) + float(line.rsplit(" ", 1)[1])
        return self.sums

    def counters(self) -> str:
        """Return the digest of the worker's counters."""
        return str(json.loads(ask(self.url.replace("/metrics", "/inspect/worker")))["digests"]["counters"])

    def stop(self) -> None:
        """Let it leave in order."""
        self.look()
        self.process.terminate()
        self.process.wait(30)


class Team:
    """Workers of one group, living and dead."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.members: list[Member] = []
        self._directory = directory
        create_topics(settings)

    def join(self, number: int) -> Member:
        """Start the worker of this data directory and wait until it is ready."""
        own = self._directory / f"{self.settings.group}-{number}"
        own.mkdir(exist_ok=True)
        settings = msgspec.structs.replace(self.settings, data_directory=str(own / "worker"))
        process = spawn_worker(settings, own)
        self.members.append(Member(settings, process, wait_ready(settings, own, process)))
        return self.members[-1]

    def living(self) -> list[Member]:
        """Return those that run."""
        return [member for member in self.members if member.process.returncode is None]

    def applied(self) -> float:
        """Return how many events all of them have applied, the dead ones as far as they had told."""
        for member in self.living():
            member.look()
        return sum(member.sums.get("freshet_events_total", 0.0) for member in self.members)

    def ndcg(self) -> float:
        """Return NDCG@10 over everything that any of them has scored."""
        sums = [member.sums for member in self.members]
        total = sum(each.get("freshet_prequential_ndcg_sum_total", 0.0) for each in sums)
        return total / sum(each.get("freshet_prequential_scored_total", 0.0) for each in sums)

    def wait_counted(self, events: int) -> str:
        """Wait until all is applied and every living worker has counted the same; return the digest."""
        while True:
            lag = sum(member.look().get("freshet_consumer_lag_events", 0.0) for member in self.living())
            digests = {member.counters() for member in self.living()}
            if lag == 0 and len(digests) == 1 and self.applied() >= 0.9 * events:
                time.sleep(1.5)  # the gauges and prequential sums are brought up to date once a second
                self.applied()
                return digests.pop()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """End all of them."""
        for member in self.living():
            member.stop()


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--joins", type=int, nargs="*", default=[100_000])
    parser.add_argument("--only-joins", action="store_true")
    parser.add_argument("--teams", type=int, nargs="*", default=[1, 3], help="workers, one of them killed")
    parser.add_argument("--rate", type=float, help="events a second; a backlog if not given")
    arguments = parser.parse_args()
    interactions = list(read_log(arguments.log, arguments.limit))
    wanted = load_settings(overrides=["topics.partitions=12", "checkpoint_seconds=5"])
    with tempfile.TemporaryDirectory() as name, running_broker(wanted) as broker:
        directory = Path(name)

        def team() -> Team:
            return Team(own_settings(wanted, broker.bootstrap_servers, directory), directory)

        if not arguments.only_joins:
            compare(team, interactions, arguments.teams, arguments.rate)
        for events in arguments.joins:
            measure_join(team(), interactions, events)


def compare(
    team: Callable[[], Team], interactions: Sequence[Interaction], teams: Sequence[int], rate: float | None
) -> None:
    """Compare disturbed runs with an undisturbed one."""
    counters, ndcg = run(team(), interactions, 1, kill=False, rate=rate)
    print(f"{len(interactions):,} events, one worker: NDCG@10 {ndcg:.4f}", flush=True)
    for workers in teams:
        same, other = run(team(), interactions, workers, kill=True, rate=rate)
        verdict = "equal" if same == counters else "DIFFER"
        print(
            f"{workers} worker(s), one killed and replaced: counters {verdict}, NDCG@10 {other:.4f}, "
            f"{100 * (other / ndcg - 1):+.1f} %",
            flush=True,
        )


def send(settings: Settings, interactions: Sequence[Interaction], rate: float | None) -> None:
    """Send interactions, so many a second or as fast as Kafka takes them."""
    with Feed(settings, items=False) as feed:
        pace = Pace()
        for number, interaction in enumerate(interactions):
            if rate is not None:
                pace.wait_until(number / rate)
            feed.interaction(interaction)


def run(
    team: Team, interactions: Sequence[Interaction], workers: int, kill: bool, rate: float | None
) -> tuple[str, float]:
    """Send the log through a team; return the digest of all counters and NDCG@10."""
    for number in range(workers):
        team.join(number)
    half = len(interactions) // 2
    send(team.settings, interactions[:half], rate)
    if kill:
        while team.applied() < half / 2:
            time.sleep(POLL_SECONDS)
        victim = team.members[-1]
        told = victim.look().get("freshet_events_total", 0.0)
        victim.process.kill()
        print(f"  killed a worker that had applied {told:,.0f}")
        victim.process.wait(10)
        team.join(workers - 1 if workers == 1 else workers)
    send(team.settings, interactions[half:], rate)
    digest = team.wait_counted(len(interactions))
    skipped = sum(member.sums.get("freshet_skipped_learning_total", 0.0) for member in team.members)
    print(f"  applied {team.applied():,.0f}, not learned because of the crash {skipped:,.0f}")
    ndcg = team.ndcg()
    team.stop()
    return digest, ndcg


def measure_join(team: Team, interactions: Sequence[Interaction], events: int) -> None:
    """Measure how long a worker with an empty disk takes to be ready, beside one that knows everything."""
    write_examples(team.settings, interactions, events)
    started = time.monotonic()
    first = team.join(1)
    from_examples = time.monotonic() - started
    counted = first.look()["freshet_examples_counted_total"]
    first.stop()
    folder = CheckpointFolder(Path(first.settings.data_directory) / CHECKPOINTS)
    found = folder.newest()
    if found is None:
        raise SystemExit("no checkpoint was written")
    data = found[0].read_bytes()
    own = Path(first.settings.data_directory).parent.with_name(f"{team.settings.group}-2") / "worker"
    empty = team.join(2)
    empty.stop()
    CheckpointFolder(own / CHECKPOINTS).write(data)
    started = time.monotonic()
    team.join(2)
    from_checkpoint = time.monotonic() - started
    team.stop()
    print(
        f"join after {counted:,.0f} events: ready in {from_examples:.1f} s from examples, "
        f"{from_checkpoint:.1f} s from a checkpoint of {len(data) / 2**20:.1f} MiB",
        flush=True,
    )


def write_examples(settings: Settings, interactions: Sequence[Interaction], events: int) -> None:
    """Write what so many events taught, as transactions of other workers would have."""
    topic = next(iter(settings.sources))
    partitions = settings.topics.partitions
    offsets = [0] * partitions
    user = User("somebody", UserState(), Exclusions(), is_new=True)
    with producer(settings) as kafka:
        for start in range(0, events, TAUGHT_AT_ONCE):
            partition = start // TAUGHT_AT_ONCE % partitions
            recorder = ExamplesRecorder(settings.group, "another", partition)
            first = offsets[partition]
            for number in range(start, min(start + TAUGHT_AT_ONCE, events)):
                interaction = interactions[number % len(interactions)]
                key = item_key(interaction.item_id)
                recorder.add(user, topic, offsets[partition], key, 0, interaction.timestamp_ms)
                offsets[partition] += 1
            record = recorder.close({topic: (first, offsets[partition])})
            kafka.send(settings.examples_topic, value=record, partition=partition)


if __name__ == "__main__":
    main()
