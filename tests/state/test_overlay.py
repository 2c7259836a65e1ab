"""Users in hand: read once, changed in memory, written or dropped together."""

import random
from collections.abc import Sequence

import pytest

from state import MemoryStore, RocksStore
from state.keys import exclusion_keys, user_key
from state.overlay import WARM_USERS, Overlay, User


class CountingStore(MemoryStore):
    """A store that remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bytes] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Remember the keys."""
        self.asked += keys
        return super().get_many(keys)


def see(overlay: Overlay, user_id: str, offset: int, item_key: int = 1) -> User:
    """Let a user do something."""
    user = overlay.user(user_id)
    user.state.insert(
        item_key=item_key,
        action_code=0,
        time_ms=offset,
        topic="clicks",
        offset=offset,
        line=0,
        event_id=None,
        history_length=5,
    )
    user.exclusions.add(item_key)
    user.changed = True
    return user


def write(store: MemoryStore | RocksStore, overlay: Overlay) -> None:
    """Make the changes durable."""
    store.write(overlay.changes())
    overlay.settle()


def test_what_was_written_is_read_again() -> None:
    """States and exclusions come back, and nothing is in hand any more."""
    store = MemoryStore()
    overlay = Overlay(store)
    for offset in range(600):
        see(overlay, "u", offset, item_key=offset + 1)
    write(store, overlay)
    assert overlay.changed() == []
    again = Overlay(store).user("u")
    assert (again.is_new, again.changed, len(again.exclusions)) == (False, False, 600)
    assert again.state.offsets.tolist() == [595, 596, 597, 598, 599]
    assert all(again.exclusions.contains(key) for key in (1, 300, 600))


def test_a_user_is_read_once_while_in_hand() -> None:
    """Loading users again, or asking for one, does not look into the store again."""
    store = CountingStore()
    overlay = Overlay(store)
    see(overlay, "u", 0)
    write(store, overlay)
    overlay = Overlay(store)
    store.asked.clear()
    overlay.load(["u", "v", "u"])
    overlay.load(["v"])
    assert overlay.user("u") is overlay.user("u")
    assert store.asked.count(b"u") == store.asked.count(b"v") == 1


def test_what_is_dropped_leaves_no_trace() -> None:
    """After `clear` everything is as it is in the store, the number of users, too."""
    store = MemoryStore()
    overlay = Overlay(store)
    see(overlay, "u", 0)
    write(store, overlay)
    before = dict(store.scan())
    see(overlay, "u", 1)
    see(overlay, "v", 2)
    overlay.clear()
    assert overlay.changed() == []
    assert overlay.stored_users == 1
    assert dict(store.scan()) == before
    assert overlay.user("u").state.offsets.tolist() == [0]


def test_only_what_changed_is_written() -> None:
    """Users that were only read are not; of the exclusions only the block that grew."""
    store = MemoryStore()
    overlay = Overlay(store)
    for offset in range(600):
        see(overlay, "u", offset, item_key=offset + 1)
    write(store, overlay)
    overlay.load(["u", "stranger"])
    assert {key for key in overlay.changes() if not key.startswith(b"\xff")} == set()
    see(overlay, "u", 600, item_key=601)
    written = {key for key in overlay.changes() if not key.startswith(b"\xff")}
    assert written == {b"u", exclusion_keys("u", 601)[2]}


def test_users_are_counted_where_they_are_written() -> None:
    """A new user counts once, however often they come; another overlay of the store knows the number."""
    store = MemoryStore()
    overlay = Overlay(store)
    overlay.load(["never does anything"])
    for offset, user in enumerate(("u", "v", "u")):
        see(overlay, user, offset)
    write(store, overlay)
    see(overlay, "u", 3)
    see(overlay, "w", 4)
    write(store, overlay)
    assert overlay.stored_users == Overlay(store).stored_users == 3


def test_peek_keeps_nothing_in_hand() -> None:
    """Looking at a user changes nothing, finds what is in hand, and nobody who never did anything."""
    store = MemoryStore()
    overlay = Overlay(store)
    see(overlay, "u", 0)
    write(store, overlay)
    found = overlay.peek("u")
    assert found is not None
    assert found is not overlay.peek("u")
    see(overlay, "v", 1)
    assert overlay.peek("v") is overlay.user("v")
    overlay.load(["stranger"])
    assert overlay.peek("stranger") is None
    assert overlay.peek("nobody") is None


def test_clear_does_not_need_the_store() -> None:
    """A store that is broken does not keep anybody from starting again."""
    store = MemoryStore()
    overlay = Overlay(store)
    see(overlay, "u", 0)
    store.close()
    overlay.clear()
    assert overlay.changed() == []


@pytest.mark.parametrize("ids", [["ü" * 100, "u", "u\x00", "😀"]])
def test_any_user_id_is_its_own(tmp_path: object, ids: list[str]) -> None:
    """Ids that begin with one another, or hold odd characters, are not mixed up in RocksDB."""
    store = RocksStore(f"{tmp_path}/store")
    overlay = Overlay(store)
    for offset, user_id in enumerate(ids):
        see(overlay, user_id, offset, item_key=offset + 1)
    write(store, overlay)
    for offset, user_id in enumerate(ids):
        user = overlay.user(user_id)
        assert user.state.offsets.tolist() == [offset]
        assert user.exclusions.fingerprints.tolist() == [offset + 1]
    store.close()


def test_a_user_who_was_in_hand_of_late_is_not_read_again() -> None:
    """What was written, or only looked at, is as it is stored: it is read again only where it was let go."""
    store = CountingStore()
    overlay = Overlay(store)
    users = [f"u{number}" for number in range(WARM_USERS + 1)]
    for user_id in users:
        see(overlay, user_id, 1)
    write(store, overlay)
    store.asked.clear()
    overlay.load(users[1:])
    assert store.asked == []
    overlay.load(users[:1])
    assert user_key(users[0]) in store.asked
    overlay.clear()
    store.asked.clear()
    overlay.load(users[1:2])
    assert user_key(users[1]) in store.asked


@pytest.mark.parametrize("seed", range(5))
def test_keeping_users_changes_nothing(seed: int) -> None:
    """Whatever users do, take back, or have erased, in whatever order: the store has the same bytes."""
    kept, anew = MemoryStore(), MemoryStore()
    for store in (kept, anew):
        rng, overlay = random.Random(seed), Overlay(store)
        for offset in range(1500):
            user_id = f"u{rng.randrange(12)}"
            deed = rng.random()
            if deed < 0.8:
                see(overlay, user_id, offset, item_key=rng.randrange(1, 600))
            elif deed < 0.9:
                user = overlay.user(user_id)
                user.changed |= user.exclusions.remove(rng.randrange(1, 600))
            elif deed < 0.92:
                overlay.erase(user_id, rng.randrange(1, 1000), offset)
            elif deed < 0.94:
                overlay.clear()
            else:
                write(store, overlay)
                overlay = overlay if store is kept else Overlay(store)
        write(store, overlay)
    assert dict(kept.scan()) == dict(anew.scan())
