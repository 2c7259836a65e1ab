"""What is changed before it is durable: users read once, changed in memory, written or dropped together."""

from collections.abc import Iterable
from dataclasses import dataclass

from state.erasures import Erasures
from state.errors import CorruptState
from state.exclusions import Exclusions
from state.keys import SEPARATOR, exclusion_key, exclusion_keys, user_key
from state.store import UserStore
from state.user import UserState

USERS_KEY = SEPARATOR + b"users"
"""How many users the partition has: written with them, so that nobody has to count."""
_USERS_BYTES = 8
WARM_USERS = 500
"""How many of the users that were last in hand are kept as they are stored, so as not to be read again."""
_EXCLUSIONS_AT_ONCE = 65_536  # a multiple of what a block holds


@dataclass(slots=True)
class User:
    """One user in hand: the facts, and what must not be recommended to them again."""

    user_id: str
    state: UserState
    exclusions: Exclusions
    is_new: bool
    changed: bool = False


class Overlay:
    """The users of one store that are being worked on. The store itself is only read."""

    def __init__(self, store: UserStore) -> None:
        self._store = store
        self._users: dict[str, User] = {}
        self._warm: dict[str, User] = {}  # not in hand, as they are stored, those of late last
        self._gone: dict[str, bool] = {}  # users to be erased: whether they are stored
        self._gone_keys: dict[bytes, None] = {}  # what of theirs is to be deleted
        self.stored_users = _stored_users(store)
        self.erasures = Erasures(store)

    def load(self, user_ids: Iterable[str]) -> None:
        """Read those of the users that are not in hand yet, with one look at the store."""
        missing = []
        for user_id in dict.fromkeys(user_ids):
            if (warm := self._warm.pop(user_id, None)) is not None:
                self._users[user_id] = warm
            elif user_id not in self._users:
                missing.append(user_id)
        states = self._store.get_many([user_key(user_id) for user_id in missing])
        for user_id, encoded in zip(missing, states, strict=True):
            self._users[user_id] = self._decode(user_id, encoded)

    def user(self, user_id: str) -> User:
        """Return the user, to be changed in place; set `changed` when that is done."""
        if user_id not in self._users:
            self.load([user_id])
        return self._users[user_id]

    def peek(self, user_id: str) -> User | None:
        """Return the user to look at, None if there is none; nothing is kept in hand."""
        user = self._users.get(user_id)
        if user is None:
            encoded = self._store.get(user_key(user_id))
            return None if encoded is None else self._decode(user_id, encoded)
        return None if user.is_new and not user.changed else user

    def erase(self, user_id: str, user_hash: int, time_ms: int) -> bool:
        """Forget a user, and remember by a hash that what is older than this time is not theirs any more.

        Returns whether anything was known of them. They may begin anew, as a user who never was.
        """
        user = self.user(user_id)
        was_known = user.changed or not user.is_new
        self._gone[user_id] = self._gone.get(user_id, False) or not user.is_new
        self._gone_keys[user_key(user_id)] = None
        self._gone_keys |= {
            exclusion_key(user_id, number): None for number in range(user.exclusions.stored_blocks)
        }
        self._users[user_id] = User(user_id, UserState(), Exclusions(), is_new=True)
        self.erasures.add(user_hash, time_ms)
        return was_known

    def erased(self) -> list[str]:
        """Return the users who are to be erased and did not begin anew."""
        return [user_id for user_id in self._gone if not self._users[user_id].changed]

    def changed(self) -> list[User]:
        """Return the users that were changed, in the order in which they were first read."""
        return [user for user in self._users.values() if user.changed]

    def changes(self) -> dict[bytes, bytes | None]:
        """Return what to write: the changed users, their exclusions, who is gone, the number of users."""
        changes: dict[bytes, bytes | None] = {**self._gone_keys, **self.erasures.changes()}
        for user in self.changed():
            user.state.exclusion_count = len(user.exclusions)
            changes[user_key(user.user_id)] = user.state.encode()
            for number, block in user.exclusions.changed_blocks().items():
                changes[exclusion_key(user.user_id, number)] = block
        changes[USERS_KEY] = self._users_after().to_bytes(_USERS_BYTES, "little")
        return changes

    def settle(self) -> None:
        """Let go of everything in hand: what `changes` returned was written."""
        self.stored_users = self._users_after()
        self.erasures.settle()
        for user_id, user in self._users.items():
            if user.changed:
                user.exclusions.settle()
                user.is_new = user.changed = False
            if not user.is_new:
                self._warm[user_id] = user
        for user_id in [*self._warm][:-WARM_USERS]:
            del self._warm[user_id]
        self._forget()

    def clear(self) -> None:
        """Forget everything in hand: it has to be done again. A store that is broken does not hinder it."""
        self.erasures.clear()
        self._warm.clear()
        self._forget()

    def _forget(self) -> None:
        self._users.clear()
        self._gone.clear()
        self._gone_keys.clear()

    def _users_after(self) -> int:
        new = sum(user.is_new for user in self.changed())
        return self.stored_users + new - sum(self._gone.values())

    def _decode(self, user_id: str, encoded: bytes | None) -> User:
        if encoded is None:
            return User(user_id, UserState(), Exclusions(), is_new=True)
        state = UserState.decode(encoded)
        return User(user_id, state, self._exclusions(user_id, state.exclusion_count), is_new=False)

    def _exclusions(self, user_id: str, count: int) -> Exclusions:
        """Read the blocks, some at a time: a damaged count, which can be of billions, ends with the first."""
        if count == 0:
            return Exclusions()
        blocks: list[bytes | None] = []
        read = 0
        while read < count and None not in blocks:
            read = min(read + _EXCLUSIONS_AT_ONCE, count)
            blocks += self._store.get_many(exclusion_keys(user_id, read)[len(blocks) :])
        return Exclusions.load(blocks)


def _stored_users(store: UserStore) -> int:
    encoded = store.get(USERS_KEY)
    if encoded is None:
        return 0
    users = int.from_bytes(encoded, "little")
    if len(encoded) != _USERS_BYTES or users >> 63:
        raise CorruptState(f"the number of users, {len(encoded)} bytes, is none: {encoded[:20].hex()}")
    return users
