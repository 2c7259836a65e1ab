"""Whose a data directory is: one group's, one worker's at a time."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streams.errors import ConfigurationError

VERSION = 1
IDENTITY_FILE = "identity.json"
ADDRESS_FILE = "worker.json"
LOCK_FILE = "lock"
PART = ".part"
_BEGINNINGS = {LOCK_FILE, str(Path(IDENTITY_FILE).with_suffix(PART))}  # what a claim that failed may leave
PARTITIONS = "partitions"
CHECKPOINTS = "checkpoints"
TEXTS = "texts"


class Identity(msgspec.Struct, frozen=True):
    """Who works in a data directory; never part of a checkpoint, which may move."""

    version: int
    group: str
    worker_id: str


class Address(msgspec.Struct, frozen=True):
    """Where the worker of a data directory answers."""

    host: str
    port: int
    pid: int


@contextmanager
def claim(directory: Path, group: str) -> Iterator[Identity]:
    """Make the directory ours, for one process at a time; a new one gets an identity.

    Raises ConfigurationError for a directory of another group, of a newer version, in use, or not writable.
    """
    if not directory.exists():
        _make(directory)
    read_identity(directory, group)  # before anything is written into a directory that is not ours
    try:
        lock = (directory / LOCK_FILE).open("a")
    except OSError as error:
        raise _unusable(directory, error) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigurationError(
                f"another worker is running in {directory}; give this one its own: --set data_directory=..."
            ) from None
        identity = read_identity(directory, group)  # again: another worker may have made it meanwhile
        if identity is None:
            identity = Identity(VERSION, group, secrets.token_hex(4))
            _write(directory / IDENTITY_FILE, identity)
        yield identity


@contextmanager
def announce(directory: Path, host: str, port: int) -> Iterator[None]:
    """Write where the worker of this directory answers, as long as it does."""
    _write(directory / ADDRESS_FILE, Address(host, port, os.getpid()))
    try:
        yield
    finally:
        forget_address(directory)


def forget_address(directory: Path) -> None:
    """Say that no worker of this directory answers any longer."""
    (directory / ADDRESS_FILE).unlink(missing_ok=True)


def read_identity(directory: Path, group: str) -> Identity | None:
    """Return whose a data directory is that exists; None if it is empty, and so could become the group's.

    Raises ConfigurationError for one of another group, of a newer version, or that is not Freshet's.
    """
    file = directory / IDENTITY_FILE
    if not file.exists():
        if not _BEGINNINGS.issuperset(_names(directory)):
            raise ConfigurationError(
                f"{directory} is not empty and not a data directory of Freshet; "
                "choose another: --set data_directory=..."
            )
        return None
    try:
        identity = msgspec.json.decode(file.read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}; restore or delete {directory}") from None
    if identity.version > VERSION:
        raise ConfigurationError(
            f"{directory} was written by a newer Freshet (its version is {identity.version}, "
            f"this one reads {VERSION}); upgrade, or choose another data_directory"
        )
    if identity.group != group:
        raise ConfigurationError(
            f"{directory} belongs to group {identity.group!r}, this worker is of {group!r}; "
            "choose another data_directory, or the right group"
        )
    return identity


def read_address(directory: Path) -> Address | None:
    """Return where the worker of this directory answers; None if none is running."""
    try:
        return msgspec.json.decode((directory / ADDRESS_FILE).read_bytes(), type=Address)
    except (OSError, msgspec.DecodeError):
        return None


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except OSError as error:
        raise _unusable(directory, error) from None


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise _unusable(directory, error) from None


def _write(file: Path, content: msgspec.Struct) -> None:
    temporary = file.with_suffix(PART)
    try:
        temporary.write_bytes(msgspec.json.encode(content))
        temporary.replace(file)
    except OSError as error:
        raise _unusable(file.parent, error) from None


def _unusable(directory: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"cannot write to the data directory {directory}: {error.strerror}; "
        "make room, or choose another: --set data_directory=..."
    )
