"""A broker that outlives the command that started it: `freshet broker start`, `stop` and `status`.

What runs is remembered in the broker's directory. A process counts as that broker only while its command line
bears the directory's mark: a process id that somebody else was given is never taken for it.
"""

import contextlib
import dataclasses
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from streams.broker.container import container_of, container_pid, start_container, stop_container
from streams.broker.finding import Kind, Say, find_startable
from streams.broker.origins import Broker, KafkaJars, StartableKafka
from streams.broker.process import ENVIRONMENT, last_complaint, log_file, mark_of, prepare_directory
from streams.broker.reach import LOCALHOST, is_free, wait_until_answers
from streams.errors import FreshetError

START_SECONDS = 90.0
_STOP_SECONDS = 30.0


class _Record(msgspec.Struct, frozen=True):
    """What a directory remembers of its broker. Exactly one of mark and container says what runs."""

    broker: Broker
    mark: str | None = None
    container: str | None = None


def start_detached(
    directory: Path, port: int, kind: Kind = "auto", say: Say = lambda _: None
) -> tuple[Broker, bool]:
    """Start a broker and wait until it answers; return it, and whether it ran already.

    Raises FreshetError; then nothing runs, and a directory that was not there before is not there either.
    """
    directory = directory.resolve()
    port_was_free = is_free(port)  # asked first: who took it since may be this directory's own
    running = _read_running(directory)
    if running:
        return _when_it_answers(running, directory), True
    if not port_was_free:
        raise FreshetError(
            f"port {port} on {LOCALHOST} is already in use; stop what listens there, or choose another one: "
            "freshet broker start --port N"
        )
    kafka = find_startable(kind, say)
    is_new = not directory.exists()
    try:
        with _alone(directory):
            running = _read_running(directory)
            if running:
                return _when_it_answers(running, directory), True
            return _start(kafka, directory, port), False
    except BaseException as error:
        if is_new:
            shutil.rmtree(directory, ignore_errors=True)
        if isinstance(error, OSError):
            raise FreshetError(f"cannot write {directory}: {error.strerror}; choose --directory") from None
        raise


def stop_detached(directory: Path) -> Broker | None:
    """Stop the directory's broker and wait for its end; return it, None if none runs."""
    directory = directory.resolve()
    record = _read(directory)
    if record is None:
        return None
    with _alone(directory):
        running = _pid(record) is not None
        if record.container and running:
            stop_container(record.container)
        elif running:
            _end(record)
        _record_file(directory).unlink(missing_ok=True)
    return record.broker if running else None


def detached_status(directory: Path) -> Broker | None:
    """Return the directory's broker if it runs, else None."""
    record = _read_running(directory.resolve())
    return None if record is None else dataclasses.replace(record.broker, pid=_pid(record))


def _start(kafka: StartableKafka, directory: Path, port: int) -> Broker:
    record = _launch(kafka, directory, port)
    try:
        # At once: whatever happens to this command now, `stop` finds the broker.
        _write(directory, record)
        return _when_it_answers(record, directory)
    except BaseException:
        _end(record)
        _record_file(directory).unlink(missing_ok=True)
        raise


def _launch(kafka: StartableKafka, directory: Path, port: int) -> _Record:
    bootstrap_servers = f"{LOCALHOST}:{port}"
    if not isinstance(kafka, KafkaJars):
        container = container_of(directory, kafka, port)
        start_container(container)
        broker = Broker("docker", kafka.why, bootstrap_servers, kafka.version, None)
        return _Record(broker, container=container)
    command = prepare_directory(kafka, directory, port)
    with log_file(directory).open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # The kernel shows no command line until the new program is in place.
    while process.poll() is None and not _command_line(process.pid):
        time.sleep(0.01)
    broker = Broker("kafka", kafka.why, bootstrap_servers, kafka.version, process.pid)
    return _Record(broker, mark=mark_of(directory))


def _when_it_answers(record: _Record, directory: Path) -> Broker:
    """Return the broker as soon as it answers; raises FreshetError if it ends, or if that takes too long."""
    if not wait_until_answers(record.broker.bootstrap_servers, lambda: _pid(record) is None, START_SECONDS):
        raise FreshetError(f"Kafka did not come up in {directory}: {last_complaint(directory)}")
    return dataclasses.replace(record.broker, pid=_pid(record))


def _read_running(directory: Path) -> _Record | None:
    record = _read(directory)
    return record if record and _pid(record) else None


def _end(record: _Record) -> None:
    """Stop what the record names, and wait: in order first, by force when that takes too long."""
    if record.container:
        stop_container(record.container)
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = _pid(record)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _pid(record) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
    if _pid(record) is not None:
        raise FreshetError(f"the broker's process {record.broker.pid} does not end, even by SIGKILL")


def _pid(record: _Record) -> int | None:
    """Return the process id if the very broker of this record runs, else None."""
    if record.container:
        return container_pid(record.container)
    pid, mark = record.broker.pid, record.mark
    return pid if pid and mark and mark in _command_line(pid) else None


def _command_line(pid: int) -> list[str]:
    """Return the words of a process's command, none if it does not run (a zombie has none either)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return [os.fsdecode(word) for word in words if word]
    except OSError:
        if Path("/proc/self").exists():
            return []
    asked = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return asked.stdout.split()


def _record_file(directory: Path) -> Path:
    return directory / "broker.json"


def _write(directory: Path, record: _Record) -> None:
    partial = directory / "broker.json.partial"
    partial.write_bytes(msgspec.json.encode(record))
    partial.replace(_record_file(directory))


def _read(directory: Path) -> _Record | None:
    try:
        return msgspec.json.decode(_record_file(directory).read_bytes(), type=_Record)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise FreshetError(f"cannot read {_record_file(directory)} ({error}); remove it") from None


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Hold the directory against a second start or stop at the same time."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
