"""What is remembered of each user, and where it is kept. Knows nothing of models or Kafka."""

from state.errors import CorruptState, StateError, StoreError
from state.exclusions import Exclusions
from state.keys import NEXT_KEY, POSITION_KEY
from state.memory import MemoryStore
from state.overlay import Overlay, User
from state.repeats import REPEATS
from state.rocks import RocksStore
from state.store import UserStore, decode_next, encode_next, read_next
from state.user import NO_TIME_MS, UserState

__all__ = [
    "NEXT_KEY",
    "NO_TIME_MS",
    "POSITION_KEY",
    "REPEATS",
    "CorruptState",
    "Exclusions",
    "MemoryStore",
    "Overlay",
    "RocksStore",
    "StateError",
    "StoreError",
    "User",
    "UserState",
    "UserStore",
    "decode_next",
    "encode_next",
    "read_next",
]
