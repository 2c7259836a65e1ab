"""The decoders of what is remembered of users."""

import json
import struct
import zlib

from state import (
    NEXT_KEY,
    CorruptState,
    Exclusions,
    MemoryStore,
    Overlay,
    UserState,
    decode_next,
    encode_next,
    read_next,
)
from state.erasures import Erasures
from state.exclusions import BLOCK_BYTES
from state.keys import ERASED_PREFIX, TOPICS_KEY, exclusion_keys, user_key
from state.overlay import USERS_KEY
from streams.partition import read_topics
from tests.fuzz.outcome import agree, attempt

_CHECKSUM = struct.Struct("<I")


def with_checksum(body: bytes) -> bytes:
    """Seal a user's state, or next offsets."""
    return body + _CHECKSUM.pack(zlib.crc32(body))


def _without_checksum(data: bytes) -> bytes:
    return data[: -_CHECKSUM.size]


def user(events: int, *, event_ids: bool = False, exclusions: int = 0) -> UserState:
    """Return a user with so many events of two topics."""
    made = UserState()
    for number in range(events):
        made.insert(
            item_key=number * 0x9E3779B97F4A7C15 % 2**64,
            action_code=number % 4,
            time_ms=1_763_880_000_000 + number // 2,
            topic=("clicks", "purchases")[number % 2],
            offset=number,
            line=number % 3,
            event_id=f"e{number}" if event_ids and number % 2 else None,
            history_length=8,
        )
    made.exclusion_count = exclusions
    return made


STATES = tuple(
    _without_checksum(made.encode())
    for made in (user(0), user(1), user(5, event_ids=True, exclusions=3), user(12, event_ids=True), user(80))
)


def state(data: bytes) -> bool:
    """Check a user's state: what is taken is what it would be written as, and goes on."""
    found = attempt(lambda: UserState.decode(data), CorruptState)
    if found is None:
        return False
    agree("a user's state", found.encode(), data)
    twin = found.copy()
    if len(twin.topics) < 250:
        twin.insert(
            item_key=1, action_code=0, time_ms=5, topic="z", offset=1, line=0, event_id="é", history_length=4
        )
        agree("a state that went on", UserState.decode(twin.encode()).encode(), twin.encode())
    agree("a state that was copied", found.encode(), data)
    return True


NEXT_OFFSETS = tuple(
    _without_checksum(encode_next(offsets))
    for offsets in ({}, {"clicks": 17}, {"clicks": 2**62, "purchases": 0, "ü": 5})
)


def next_offsets(data: bytes) -> bool:
    """Check next offsets: they are what they would be written as."""
    found = attempt(lambda: decode_next(data), CorruptState)
    if found is not None:
        agree("next offsets", encode_next(found), data)
        store = MemoryStore()
        store.write({NEXT_KEY: data})
        agree("next offsets in a store", read_next(store), found)
    return found is not None


TOPIC_IDS = (b"{}", json.dumps({"clicks": "0ODbGJ1BTy2Cr1mUTxH1lg", "ü": ""}).encode())


def topic_ids(data: bytes) -> bool:
    """Check the identities of the topics that the next offsets are of."""
    store = MemoryStore()
    store.write({TOPICS_KEY: data})
    found = attempt(lambda: read_topics(store), CorruptState)
    assert found is None or all(type(text) is str for item in found.items() for text in item)
    return found is not None


EXCLUSIONS = (b"", b"\1\0\0\0", bytes(range(256)) * 4, bytes(range(256)) * 4 + b"\7\0\0\0" * 9)


def exclusions(data: bytes) -> bool:
    """Check exclusion blocks: all are whole, and one more item rewrites the last."""
    blocks = [data[start : start + BLOCK_BYTES] for start in range(0, len(data), BLOCK_BYTES)]
    assert attempt(lambda: Exclusions.load([*blocks, None]), CorruptState) is None
    assert attempt(lambda: Exclusions.load([*blocks, b""]), CorruptState) is None
    assert len(data) <= BLOCK_BYTES or attempt(lambda: Exclusions.load([data]), CorruptState) is None
    found = attempt(lambda: Exclusions.load(blocks), CorruptState)
    if found is None:
        return False
    agree("exclusions", found.fingerprints.tobytes(), data)
    assert found.changed_blocks() == {}
    if found.add(0xFEDC_BA98):
        blocks = list(blocks)
        for number, block in sorted(found.changed_blocks().items()):
            blocks[number:] = [block]
        agree("exclusions with one more", b"".join(filter(None, blocks)), data + b"\x98\xba\xdc\xfe")
    return True


def stored_user(data: bytes) -> bool:
    """Check a user as a store has it: also who claims exclusion blocks that are not there is refused."""
    store = MemoryStore()
    block = bytes(range(12))
    store.write({user_key("u"): data, exclusion_keys("u", 3)[0]: block})
    overlay = Overlay(store)
    found = attempt(lambda: overlay.user("u"), CorruptState)
    if found is None:
        return False
    assert len(found.exclusions) in (0, 3)
    found.changed = True
    store.write(overlay.changes())
    agree("a user that was written", Overlay(store).user("u").state.encode(), found.state.encode())
    return True


USER_COUNTS = (bytes(8), (3).to_bytes(8, "little"), (2**62).to_bytes(8, "little"))


def user_count(data: bytes) -> bool:
    """Check the number of users: what is taken can be counted on."""
    store = MemoryStore()
    store.write({USERS_KEY: data})
    overlay = attempt(lambda: Overlay(store), CorruptState)
    if overlay is None or overlay.stored_users > 2**62:
        return False
    overlay.user("new").changed = True
    before = overlay.stored_users
    store.write(overlay.changes())
    overlay.settle()
    agree("the number of users", Overlay(store).stored_users, before + 1)
    return True


ERASURES = tuple(key + time for key in (b"12345678", b"") for time in (bytes(8), b"\x80" * 8))


def erasures(data: bytes) -> bool:
    """Check an erasure in a store: the last eight bytes are its time, those before whose it is."""
    store = MemoryStore()
    store.write({ERASED_PREFIX + data[:-8]: data[-8:]})
    found = attempt(lambda: Erasures(store), CorruptState)
    if found is None:
        return False
    whose, time_ms = int.from_bytes(data[:-8], "big"), int.from_bytes(data[-8:], "little")
    assert found.time_ms(whose) == time_ms
    found.add(whose, 5)
    store.write(found.changes())
    agree("an erasure that was written", Erasures(store).time_ms(whose), max(time_ms, 5))
    return True
