"""What the demo plays on: a broker, topics of its own, and a worker; all of it gone afterwards."""

import contextlib
import secrets
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streams.broker import Broker, running_broker
from streams.connection import admin
from streams.errors import FreshetError
from streams.guard import Guarded, spawn_guarded
from streams.identity import read_address
from streams.settings import Settings, Source, Topics
from streams.topics import create_topics, plan_topics

READY_SECONDS = 90.0
STOP_SECONDS = 20.0
ENDPOINT_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stage:
    """A worker that is ready, and where everything is."""

    broker: Broker
    settings: Settings
    directory: Path
    metrics_url: str
    worker: Guarded

    def scrape(self) -> str:
        """Return the worker's metrics."""
        return ask(self.metrics_url)

    def check(self) -> None:
        """Raise FreshetError if the worker has ended."""
        if self.worker.returncode is not None:
            raise FreshetError(_ended(self.directory, self.worker.returncode))


@contextlib.contextmanager
def open_stage(wanted: Settings, keep: bool, say: Say) -> Iterator[Stage]:
    """Give a stage; with `keep` its directory, logs included, and its topics on a configured broker stay."""
    directory = Path(tempfile.mkdtemp(prefix="freshet-demo-"))
    try:
        say("starting a broker")
        with running_broker(wanted, directory=directory / "broker", say=say) as broker:
            settings = own_settings(wanted, broker.bootstrap_servers, directory)
            say("creating topics")
            create_topics(settings)
            try:
                with spawn_worker(settings, directory) as worker:
                    say("starting a worker")
                    yield Stage(broker, settings, directory, wait_ready(settings, directory, worker), worker)
                    worker.terminate()
                    worker.wait(STOP_SECONDS)
            finally:
                if broker.kind == "configured" and not keep:
                    _delete_topics(settings)
    finally:
        if keep:
            say(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def own_settings(wanted: Settings, bootstrap_servers: str, directory: Path) -> Settings:
    """Return settings like those wanted, with names that nobody else uses and events in our own format."""
    group = f"freshet-demo-{secrets.token_hex(3)}"
    return msgspec.structs.replace(
        wanted,
        bootstrap_servers=bootstrap_servers,
        data_directory=str(directory / "worker"),
        group=group,
        metrics_host="127.0.0.1",
        metrics_port=0,
        # A language model takes a core for seconds, of which the demo has too few to show anything by it.
        encoder="ngrams" if wanted.encoder == "auto" else wanted.encoder,
        topics=Topics(
            recommendations=f"{group}-recommendations",
            items=f"{group}-items",
            dead_letters=f"{group}-dead-letters",
            erasures=f"{group}-erasures",
            erasure_receipts=f"{group}-erasure-receipts",
            partitions=wanted.topics.partitions,
            replication_factor=wanted.topics.replication_factor,
            min_insync_replicas=wanted.topics.min_insync_replicas,
        ),
        sources={
            f"{group}-clicks": Source(action="click", weight=1.0),
            f"{group}-purchases": Source(action="purchase", weight=4.0),
        },
    )


def spawn_worker(settings: Settings, directory: Path) -> Guarded:
    """Start a worker whose settings and log lie in the directory."""
    file = directory / "freshet.json"
    file.write_bytes(msgspec.json.encode(settings))
    command = [sys.executable, "-m", "streams.demo.worker", str(file)]
    return spawn_guarded(command, stdout=directory / "worker.log")


def ask(url: str) -> str:
    """Return what a worker answers; raises OSError if it does not answer, or not with 200."""
    with urllib.request.urlopen(url, timeout=ENDPOINT_SECONDS) as answer:  # noqa: S310 - always http
        text: str = answer.read().decode()
        return text


def wait_ready(settings: Settings, directory: Path, worker: Guarded) -> str:
    """Return the address of a worker's metrics once it is ready; raises FreshetError if it never is."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if worker.returncode is not None:
            raise FreshetError(_ended(directory, worker.returncode))
        address = read_address(Path(settings.data_directory))
        if address is not None:
            base = f"http://{address.host}:{address.port}"
            with contextlib.suppress(OSError):
                ask(f"{base}/ready")
                return f"{base}/metrics"
        time.sleep(0.1)
    raise FreshetError(
        f"the worker was not ready within {READY_SECONDS:.0f} s; run again with --keep for its log"
    )


def _ended(directory: Path, code: int) -> str:
    lines = (directory / "worker.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"the worker ended with {code}: {lines[-1] if lines else 'it said nothing'}"


def _delete_topics(settings: Settings) -> None:
    with contextlib.suppress(FreshetError), admin(settings) as client:
        client.delete_topics([plan.name for plan in plan_topics(settings, {})])
