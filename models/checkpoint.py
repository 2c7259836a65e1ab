"""Everything learned, in one file: arrays and facts, a version and a checksum; written whole or not at all.

A file is 8 bytes of magic, its version, a 16-byte BLAKE2b digest of the rest, and the rest: a safetensors
buffer, whose metadata hold the facts as JSON.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

MAGIC = b"FRESHET\n"
VERSION = 1
KEPT = 3
SUFFIX = ".checkpoint"
_DIGEST_BYTES = 16
_HEADER_BYTES = len(MAGIC) + 4 + _DIGEST_BYTES

Arrays = dict[str, NDArray[Any]]
Facts = dict[str, Any]

log = logging.getLogger(__name__)


class CorruptCheckpointError(Exception):
    """A file is not a checkpoint, or a damaged one."""


class NewerCheckpointError(Exception):
    """A checkpoint was written by a newer version."""


def encode_checkpoint(arrays: Mapping[str, NDArray[Any]], facts: Facts) -> bytes:
    """Return the bytes of a checkpoint; the facts are whatever JSON can say."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    body = save(contiguous, metadata={"facts": json.dumps(facts)})
    return MAGIC + VERSION.to_bytes(4, "little") + _digest(body) + body


def decode_checkpoint(data: bytes) -> tuple[Arrays, Facts]:
    """Return arrays and facts; raises CorruptCheckpointError or NewerCheckpointError."""
    if data[: len(MAGIC)] != MAGIC or len(data) < _HEADER_BYTES:
        raise CorruptCheckpointError("not a checkpoint of Freshet")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 4], "little")
    if version > VERSION:
        raise NewerCheckpointError(f"version {version}; this Freshet reads version {VERSION}: upgrade it")
    if version < 1:
        raise CorruptCheckpointError(f"there is no version {version}")
    body = data[_HEADER_BYTES:]
    if _digest(body) != data[_HEADER_BYTES - _DIGEST_BYTES : _HEADER_BYTES]:
        raise CorruptCheckpointError(f"the checksum does not match: its {len(data)} bytes are damaged")
    try:
        arrays = load(body)
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        facts = json.loads(header["__metadata__"]["facts"])
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptCheckpointError(f"its contents cannot be read: {error!r}") from None
    if not isinstance(facts, dict):
        raise CorruptCheckpointError(f"its facts are no object but of type {type(facts).__name__}")
    return arrays, facts


class CheckpointFolder:
    """The last checkpoints of one worker, newest last; a number in the name says which is newer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, data: bytes) -> Path:
        """Write a checkpoint: to a temporary file, flushed to the disk, renamed; then drop the oldest.

        Raises OSError, and leaves the others as they were, if the disk does not take it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        files = self._files()
        number = int(files[-1].stem) + 1 if files else 1
        file = self.directory / f"{number:012d}{SUFFIX}"
        temporary = file.with_suffix(".part")
        with temporary.open("wb") as part:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
        temporary.replace(file)
        _sync_directory(self.directory)
        for old in [*files[: -(KEPT - 1)], *self.directory.glob("*.part")]:
            old.unlink(missing_ok=True)
        return file

    def newest(self) -> tuple[Path, Arrays, Facts] | None:
        """Return the newest checkpoint that is whole, None if there is none; says which are damaged.

        Raises NewerCheckpointError, which names the file, rather than to go on from an older one.
        """
        for file, data in self._read():
            try:
                return file, *decode_checkpoint(data)
            except NewerCheckpointError as error:
                raise NewerCheckpointError(f"{file} is of {error}") from None
            except CorruptCheckpointError as error:
                log.warning("checkpoint %s is passed over: %s", file, error)
        return None

    def _read(self) -> Iterator[tuple[Path, bytes]]:
        for file in reversed(self._files()):
            yield file, file.read_bytes()

    def _files(self) -> list[Path]:
        files = self.directory.glob(f"*{SUFFIX}") if self.directory.exists() else ()
        return sorted(file for file in files if file.stem.isdecimal())


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
