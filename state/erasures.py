"""When users were erased: by hashes, for as long as older records of theirs may still come."""

from state.errors import CorruptState
from state.keys import ERASED_PREFIX, erased_hash, erased_key
from state.store import UserStore

KEPT_MS = 30 * 86_400_000
"""So long an erasure is remembered: older records than these are in no log that anybody still reads."""

_TIME_BYTES = 8
_KEY_BYTES = len(erased_key(0))


class Erasures:
    """The erasures of one partition: those of its store, and those in hand that are not durable yet."""

    def __init__(self, store: UserStore) -> None:
        """Read what the store has; raises CorruptState."""
        self._times_ms: dict[int, int] = {}
        self._new: dict[int, int] = {}
        self._expired: set[int] = set()
        for key, value in store.scan(ERASED_PREFIX):
            if len(value) != _TIME_BYTES or len(key) != _KEY_BYTES:
                raise CorruptState(f"an erasure of {len(key)} + {len(value)} bytes is none: {key[:20].hex()}")
            self._times_ms[erased_hash(key)] = int.from_bytes(value, "little")

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._times_ms or self._new)

    def time_ms(self, user_hash: int) -> int:
        """Return when the user of this hash was erased last, in milliseconds since the epoch; 0 if never."""
        return self._new.get(user_hash) or self._times_ms.get(user_hash, 0)

    @property
    def mark(self) -> bytes:
        """Tells these erasures, as far as they are durable, from those of another time."""
        times_ms = self._times_ms.values()
        return len(times_ms).to_bytes(8, "little") + max(times_ms, default=0).to_bytes(8, "little")

    def add(self, user_hash: int, time_ms: int) -> None:
        """Remember an erasure, and no longer those that are much older."""
        self._new[user_hash] = max(time_ms, self.time_ms(user_hash))
        self._expired |= {known for known, at_ms in self._times_ms.items() if at_ms < time_ms - KEPT_MS}
        self._expired.discard(user_hash)

    def changes(self) -> dict[bytes, bytes | None]:
        """Return what to write."""
        changes: dict[bytes, bytes | None] = {erased_key(known): None for known in self._expired}
        for user_hash, time_ms in self._new.items():
            changes[erased_key(user_hash)] = time_ms.to_bytes(_TIME_BYTES, "little")
        return changes

    def settle(self) -> None:
        """Keep what is in hand: it was written."""
        for expired in self._expired:
            self._times_ms.pop(expired, None)
        self._times_ms |= self._new
        self.clear()

    def clear(self) -> None:
        """Forget what is in hand: it has to be done again."""
        self._new.clear()
        self._expired.clear()
