"""A partition's store in memory: for `evaluate`, which needs no durability, and for tests."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from state.errors import StoreError


class MemoryStore:
    """A UserStore in a dict: gone when it is closed."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] | None = {}

    def _open(self) -> dict[bytes, bytes]:
        if self._values is None:
            raise StoreError("the store in memory was closed; open a new one")
        return self._values

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None if there is none."""
        return self._open().get(key)

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of these keys, in their order."""
        values = self._open()
        return [values.get(key) for key in keys]

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Set these keys to these values, None deletes: all of them or none."""
        values = self._open()
        for key, value in dict(changes).items():
            if value is None:
                values.pop(key, None)
            else:
                values[key] = value

    def scan(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield every key that begins with the prefix, and its value, in order."""
        keys = sorted(self._open())
        for key in keys[bisect_left(keys, prefix) :]:
            if not key.startswith(prefix):
                return
            value = self._open().get(key)
            if value is not None:
                yield key, value

    def compact(self) -> None:
        """Do nothing: what is deleted leaves no trace here."""
        self._open()

    def wipe(self) -> None:
        """Forget everything."""
        self._open().clear()

    def close(self) -> None:
        """Forget everything, for good."""
        self._values = None

    def approximate_bytes(self) -> int:
        """Return the bytes of all keys and values."""
        return sum(len(key) + len(value) for key, value in self._open().items())
