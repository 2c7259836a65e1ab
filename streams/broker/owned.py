"""A broker that lives as long as this process, for the demo and the tests: no orphan survives it."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from streams.broker.container import (
    attached_command,
    container_pid,
    create_container,
    kill_container,
    removing_command,
)
from streams.broker.finding import Say, find_kafka
from streams.broker.origins import Broker, ConfiguredKafka, KafkaJars, StartableKafka
from streams.broker.process import ENVIRONMENT, last_complaint, log_file, prepare_directory
from streams.broker.reach import LOCALHOST, free_port, is_free, kafka_version, wait_until_answers
from streams.errors import FreshetError
from streams.guard import Guarded, spawn_guarded
from streams.settings import Settings

START_SECONDS = 90.0
_CONFIGURED_SECONDS = 10.0
_GRACE_SECONDS = 15.0


@contextlib.contextmanager
def running_broker(
    settings: Settings, directory: Path | None = None, port: int = 0, say: Say = lambda _: None
) -> Iterator[Broker]:
    """Give a broker that answers: the configured one, or one of our own that ends with this process.

    directory: where its data stay; None: a temporary one that goes with it. port 0: a free one.
    Raises FreshetError if there is none, or if it does not answer.
    """
    kafka = find_kafka(settings, say)
    if isinstance(kafka, ConfiguredKafka):
        yield _configured(kafka)
        return
    with OwnedBroker(kafka, directory, port) as owned:
        yield owned.start()


class OwnedBroker:
    """A broker of this process that can be stopped, killed and started again on the same address and data."""

    def __init__(self, kafka: StartableKafka, directory: Path | None = None, port: int = 0) -> None:
        self.port = port or free_port()
        self.bootstrap_servers = f"{LOCALHOST}:{self.port}"
        self.directory = directory.resolve() if directory else _temporary_directory()
        self._temporary = directory is None
        self._kafka = kafka
        self._container: str | None = None
        self._guarded: Guarded | None = None

    def start(self) -> Broker:
        """Start it and wait until it answers; raises FreshetError."""
        if not is_free(self.port):
            raise FreshetError(f"port {self.port} on {LOCALHOST} is already in use; choose another one")
        try:
            guarded = self._guarded = self._spawn()
        except OSError as error:
            raise FreshetError(
                f"cannot run Kafka in {self.directory}: {error.strerror}; see that disk"
            ) from None
        if not wait_until_answers(
            self.bootstrap_servers, lambda: guarded.returncode is not None, START_SECONDS
        ):
            self.kill()
            raise FreshetError(f"Kafka did not start: {last_complaint(self.directory)}")
        pid = container_pid(self._container) if self._container else guarded.pid
        return Broker(
            "docker" if self._container else "kafka",
            self._kafka.why,
            self.bootstrap_servers,
            self._kafka.version,
            pid,
        )

    def stop(self) -> None:
        """Stop it in order, as SIGTERM does; its data stay."""
        if self._guarded:
            self._guarded.terminate()
            self._wait(self._guarded)

    def kill(self) -> None:
        """Kill it at once; its data stay as they are."""
        if self._guarded:
            if self._container:
                kill_container(self._container)
            self._guarded.kill()
            self._wait(self._guarded)

    def close(self) -> None:
        """End it, and remove what is temporary."""
        if self._guarded:
            self._guarded.close()
            self._guarded = None
        if self._container:
            subprocess.run(removing_command(self._container), capture_output=True, check=False)
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "OwnedBroker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self) -> Guarded:
        afterwards: list[str] = []
        if isinstance(self._kafka, KafkaJars):
            command = prepare_directory(self._kafka, self.directory, self.port)
        else:
            self._container = self._container or create_container(self._kafka, self.port)
            command = attached_command(self._container)
            afterwards = removing_command(self._container)
        return spawn_guarded(
            command,
            env={**os.environ, **ENVIRONMENT},
            cwd=self.directory,
            stdout=log_file(self.directory),
            grace_seconds=_GRACE_SECONDS,
            remove=self.directory if self._temporary else None,
            afterwards=afterwards,
        )

    def _wait(self, guarded: Guarded) -> None:
        try:
            guarded.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            guarded.kill()
            guarded.wait()
        self._guarded = None


def _temporary_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="freshet-broker-")).resolve()


def _configured(kafka: ConfiguredKafka) -> Broker:
    version = kafka_version(kafka.bootstrap_servers, _CONFIGURED_SECONDS)
    if version is None:
        raise FreshetError(
            f"no Kafka answers at bootstrap_servers = {kafka.bootstrap_servers!r}; start it, correct the "
            "address, or unset it to let Freshet start one"
        )
    return Broker("configured", kafka.why, kafka.bootstrap_servers, version, None)
