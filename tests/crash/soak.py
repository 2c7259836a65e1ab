"""The whole of it: a broker, workers, a stream, torment; then quiet, and everything is compared."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import msgspec

from streams.broker import OwnedBroker, find_startable
from streams.guard import Guarded, spawn_guarded
from streams.settings import Settings
from streams.topics import create_topics
from tests.crash.crew import Crew, clean_environment
from tests.crash.faults import FAULTS, Scene
from tests.crash.freshness import Freshness
from tests.crash.inquest import Inquest, hold_inquest
from tests.crash.report import Report
from tests.crash.stream import Mix
from tests.crash.tormentor import Tormentor

CALM_SECONDS = 8.0  # of undisturbed work before the first fault
START_SECONDS = 120.0
FLUSH_SECONDS = 90.0
DEATH_MARGIN_SECONDS = 20.0  # a worker may give up so long after a broker that it started without was away


@dataclass(frozen=True, slots=True)
class Plan:
    """What a soak is like; the same plan draws the same stream and the same faults."""

    seed: int = 1
    seconds: float = 180.0
    partitions: int = 12
    workers: int = 3
    rate: float = 150.0
    kinds: list[str] = field(default_factory=lambda: list(FAULTS))
    mix: Mix = field(default_factory=Mix)
    history_length: int = 100
    checkpoint_seconds: int = 5

    @property
    def command(self) -> str:
        """The command that does it again."""
        command = (
            f"python -m tests.crash --seed {self.seed} --seconds {self.seconds:.0f} --workers {self.workers} "
            f"--partitions {self.partitions} --rate {self.rate:.0f}"
        )
        if self.kinds != list(FAULTS):
            command += " --faults " + " ".join(f"'{kind}'" for kind in self.kinds)
        return command


class SoakFailedError(Exception):
    """The soak could not even begin, or could not be finished."""


def soak(plan: Plan, keep: Path | None, say: Callable[[str], None]) -> Report:
    """Run a soak; `keep` is where everything stays, None: in a temporary directory, kept if it failed."""
    directory = keep or Path(tempfile.mkdtemp(prefix="freshet-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    with OwnedBroker(find_startable(), directory / "broker") as broker:
        broker.start()
        settings = _settings(plan, broker.bootstrap_servers)
        create_topics(settings)
        scene = Scene(settings, broker, Crew(directory, settings, plan.workers))
        freshness = Freshness(broker.bootstrap_servers, settings.topics.recommendations, plan.partitions)
        freshness.start()
        try:
            report = _run(plan, scene, freshness, directory, say)
        finally:
            freshness.stop()
            scene.crew.close()
    if report.is_good and keep is None:
        shutil.rmtree(directory, ignore_errors=True)
    return report


def _run(
    plan: Plan, scene: Scene, freshness: Freshness, directory: Path, say: Callable[[str], None]
) -> Report:
    for slot in scene.crew.slots:
        slot.start()
    _wait(scene.crew.all_ready, START_SECONDS, "the workers are ready", scene.crew.tend)
    producing = _start_producing(plan, scene.settings, directory)
    began = time.time()
    _wait(lambda: freshness.are_fresh_since(began, 2), START_SECONDS, "lists come", scene.crew.tend)
    say(
        f"        seed {plan.seed}: {plan.workers} workers, {plan.partitions} partitions, "
        f"{plan.rate:.0f} events/s, {plan.seconds:.0f} s; logs in {directory}"
    )
    time.sleep(CALM_SECONDS)
    freshness.begin()

    def check_stream() -> None:
        if producing.returncode is not None:
            raise SoakFailedError(f"the producer ended: {_tail(directory / 'producer.log')}")

    tormentor = Tormentor(scene, freshness, plan.seed, plan.kinds, say, check_stream)
    tormentor.torment(plan.seconds)
    gap_seconds = freshness.longest_gap_seconds()
    say("        quiet")
    producing.terminate()
    if producing.wait(FLUSH_SECONDS) != 0:
        raise SoakFailedError(f"the producer failed: {_tail(directory / 'producer.log')}")
    for slot in scene.crew.slots:
        if not slot.is_wanted:
            slot.start()
    inquest = hold_inquest(plan.history_length, scene)
    return _report(plan, scene, tormentor, inquest, gap_seconds, directory)


def _settings(plan: Plan, servers: str) -> Settings:
    plain = Settings()
    return msgspec.structs.replace(
        plain,
        bootstrap_servers=servers,
        group="soak",
        history_length=plan.history_length,
        metrics_port=0,
        exclude="purchased",
        device="cpu",
        checkpoint_seconds=plan.checkpoint_seconds,
        topics=msgspec.structs.replace(plain.topics, partitions=plan.partitions),
    )


def _start_producing(plan: Plan, settings: Settings, directory: Path) -> Guarded:
    command = [sys.executable, "-m", "tests.crash.producing", settings.bootstrap_servers]
    command += [str(plan.seed), str(plan.rate), json.dumps(asdict(plan.mix))]
    return spawn_guarded(
        command, stdout=directory / "producer.log", env=clean_environment(), grace_seconds=FLUSH_SECONDS
    )


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1000:]


def _wait(condition: Callable[[], bool], seconds: float, what: str, meanwhile: Callable[[], None]) -> None:
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise SoakFailedError(f"waited {seconds:.0f} s in vain until {what}")
        meanwhile()
        time.sleep(0.2)


def _report(
    plan: Plan,
    scene: Scene,
    tormentor: Tormentor,
    inquest: Inquest,
    gap_seconds: float,
    directory: Path,
) -> Report:
    unexpected = [
        death
        for death in scene.crew.deaths
        if not any(since <= death.at <= until + DEATH_MARGIN_SECONDS for since, until in scene.outages)
    ]
    return Report(
        again=plan.command,
        seed=plan.seed,
        seconds=plan.seconds,
        happened=tormentor.happened,
        longest_gap_seconds=gap_seconds,
        facts=inquest.facts,
        differences=[str(difference) for difference in inquest.differences],
        deaths=[f"{death.worker} ended by itself with {death.code}" for death in unexpected],
        deaths_without_broker=len(scene.crew.deaths) - len(unexpected),
        directory=str(directory),
    )
