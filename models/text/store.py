"""Vectors on disk by the hash of their text, so that a restart encodes nothing again.

A file of an encoder is a header (8 bytes of magic, version, dimensions, 16 bytes of the hashed name of the
encoder) and records, appended only: 16 bytes of text hash, CRC-32 of the vector, the vector as float16.
"""

import errno
import logging
import os
import re
import struct
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from shutil import copyfileobj
from typing import IO
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.text.canonical import HASH_BYTES

MAGIC = b"FRTEXTS\n"
VERSION = 1
SUFFIX = ".vectors"
_HEADER = struct.Struct("<8sII16s")
_CHECKSUM = struct.Struct("<I")
MOST = 500_000
_LABEL_CHARACTERS = 60

log = logging.getLogger(__name__)


class VectorStore:
    """The vectors of one encoder in one file of a directory, about 800 bytes each for 384 dimensions.

    What was put is the operating system's at once, so a killed process loses nothing; the disk is only
    waited for at `close`. Whatever a power failure tears is recognised by its checksum or its length, and is
    encoded again. In memory are the hashes; a file with more than MOST vectors loses its older half when it
    is opened or written to. Several processes may append to one file; each sees what it found and put. What
    they put into one that another has halved meanwhile is lost with them.
    """

    def __init__(self, directory: Path, encoder_name: str, dimensions: int) -> None:
        """Open or make the file, anew if it is not of this version and encoder; raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        identity = blake2b(encoder_name.encode(), digest_size=16).digest()
        label = re.sub(r"[^\w.-]+", "-", encoder_name)[-_LABEL_CHARACTERS:]
        self.file = directory / f"{label}-{identity[:4].hex()}{SUFFIX}"
        self.dimensions = dimensions
        self._header = _HEADER.pack(MAGIC, VERSION, dimensions, identity)
        self._record_bytes = HASH_BYTES + _CHECKSUM.size + 2 * dimensions
        self._prepare()
        self._descriptor = os.open(self.file, os.O_RDWR | os.O_APPEND)
        self._offsets: dict[bytes, int] = {}
        self._read()

    def __len__(self) -> int:
        return len(self._offsets)

    def get(self, hashes: Sequence[bytes]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return float32[n, D] and bool[n], whether each is known; zeros where it is not."""
        vectors: Floats = np.zeros((len(hashes), self.dimensions), np.float32)
        known = np.zeros(len(hashes), np.bool_)
        for number, text_hash in enumerate(hashes):
            offset = self._offsets.get(text_hash)
            if offset is None:
                continue
            record = os.pread(self._descriptor, self._record_bytes, offset)
            start = HASH_BYTES + _CHECKSUM.size
            if record[:start] == text_hash + _checksum(record[start:]):
                vectors[number] = np.frombuffer(record, np.float16, offset=start)
                known[number] = True
            else:
                log.warning("%s: a damaged vector at byte %d is made again", self.file, offset)
                del self._offsets[text_hash]
        return vectors, known

    def put(self, hashes: Sequence[bytes], vectors: Floats) -> None:
        """Append the vectors, float32[n, D], of the texts; raises OSError if the disk does not take them."""
        if self._records() > MOST:
            self._halve()
        halves = vectors.astype(np.float16)
        pairs = zip(hashes, map(bytes, halves), strict=True)
        data = b"".join(text_hash + _checksum(vector) + vector for text_hash, vector in pairs)
        written = os.write(self._descriptor, data)
        start = os.lseek(self._descriptor, 0, os.SEEK_CUR) - written
        if written < len(data):
            os.ftruncate(self._descriptor, start)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))
        for number, text_hash in enumerate(hashes):
            self._offsets[text_hash] = start + number * self._record_bytes

    def close(self) -> None:
        """Wait for the disk, and let the file go."""
        os.fsync(self._descriptor)
        os.close(self._descriptor)

    def _records(self) -> int:
        return (os.fstat(self._descriptor).st_size - len(self._header)) // self._record_bytes

    def _halve(self) -> None:
        """Go on with the newer half, in a new file; raises OSError, and goes on with all."""
        self._prepare()
        old, self._descriptor = self._descriptor, os.open(self.file, os.O_RDWR | os.O_APPEND)
        os.close(old)
        self._offsets.clear()
        self._read()

    def _prepare(self) -> None:
        """See to a file with the right header and not too many records."""
        if not self.file.exists():
            self._begin()
        with self.file.open("rb") as old:
            is_ours = old.read(len(self._header)) == self._header
            records = (os.fstat(old.fileno()).st_size - len(self._header)) // self._record_bytes
            if not is_ours:
                log.warning("%s is not of this version and encoder: it is begun anew", self.file)
                self._begin()
            elif records > MOST:
                log.info("%s: the older half of its %d vectors is dropped", self.file, records)
                old.seek(len(self._header) + records // 2 * self._record_bytes)
                self._begin(old)

    def _begin(self, records: IO[bytes] | None = None) -> None:
        """Put a file with a header and these records in the place of the old one, whole or not at all."""
        temporary = self.file.with_name(f"{self.file.name}.{os.getpid()}.part")
        try:
            with temporary.open("wb") as new:
                new.write(self._header)
                if records is not None:
                    copyfileobj(records, new)
            temporary.replace(self.file)
        finally:
            temporary.unlink(missing_ok=True)

    def _read(self) -> None:
        """Learn which texts are there; cut off what was half written."""
        size, start = os.fstat(self._descriptor).st_size, len(self._header)
        torn = (size - start) % self._record_bytes
        if torn:
            log.warning("%s: %d bytes that were half written are cut off", self.file, torn)
            os.ftruncate(self._descriptor, size - torn)
        with self.file.open("rb") as records:
            records.seek(start)
            for offset in range(start, size - torn, self._record_bytes):
                self._offsets[records.read(self._record_bytes)[:HASH_BYTES]] = offset


def _checksum(vector: bytes) -> bytes:
    return _CHECKSUM.pack(crc32(vector))
