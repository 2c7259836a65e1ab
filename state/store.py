"""Where a partition's users are kept: the protocol, and the offsets that lie beside the users."""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

from state.errors import CorruptState
from state.keys import NEXT_KEY

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BH")  # version, topics
_TOPIC: Final = struct.Struct("<qH")  # next offset, length of the name
_CHECKSUM: Final = struct.Struct("<I")


class UserStore(Protocol):
    """The bytes of one partition: an ordered map of keys to values. One owner, one thread at a time.

    Every method raises StoreError if the store cannot do it, or is closed.
    """

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        ...

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of these keys, in their order."""
        ...

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set these keys to these values, None deletes: all of them or none, whatever happens meanwhile."""
        ...

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every key that begins with the prefix, and its value, in the order of the keys' bytes.

        Writing meanwhile is allowed; what is written may or may not be seen, all else is yielded once.
        """
        ...

    def compact(self) -> None:
        """Leave no trace in the files of what was deleted or replaced."""
        ...

    def wipe(self) -> None:
        """Forget everything."""
        ...

    def close(self) -> None:
        """Let go of the files; closing twice is allowed."""
        ...

    def approximate_bytes(self) -> int:
        """Return about how many bytes the store occupies."""
        ...


def read_next(store: UserStore) -> dict[str, int]:
    """Return the next offset to apply of each source topic: empty for a new store. Raises CorruptState."""
    data = store.get(NEXT_KEY)
    return {} if data is None else decode_next(data)


def encode_next(next_offsets: Mapping[str, int]) -> bytes:
    """Return the bytes of the next offset of each source topic."""
    parts = [_HEADER.pack(_VERSION, len(next_offsets))]
    for topic, offset in sorted(next_offsets.items()):
        name = topic.encode()
        parts += (_TOPIC.pack(offset, len(name)), name)
    body = b"".join(parts)
    return body + _CHECKSUM.pack(zlib.crc32(body))


def decode_next(data: bytes) -> dict[str, int]:
    """Read the next offsets. Raises CorruptState for bytes that `encode_next` did not return."""
    if data[:1] and data[0] != _VERSION:
        raise CorruptState(
            f"the next offsets are of version {data[0]}; this Freshet reads version {_VERSION}"
        )
    body = data[: -_CHECKSUM.size]
    if data[len(body) :] != _CHECKSUM.pack(zlib.crc32(body)):
        raise CorruptState(
            f"the checksum of the next offsets does not match: their {len(data)} bytes are damaged"
        )
    try:
        next_offsets = _read_next(body)
    except (struct.error, UnicodeDecodeError) as error:
        raise CorruptState(f"the next offsets' {len(data)} bytes are not valid: {error}") from None
    if encode_next(next_offsets) != data:
        raise CorruptState(f"the next offsets' {len(data)} bytes are not what {next_offsets} is written as")
    return next_offsets


def _read_next(body: bytes) -> dict[str, int]:
    _, count = _HEADER.unpack_from(body)
    at = _HEADER.size
    next_offsets = {}
    for _ in range(count):
        offset, length = _TOPIC.unpack_from(body, at)
        at += _TOPIC.size
        next_offsets[body[at : at + length].decode()] = offset
        at += length
    return next_offsets
