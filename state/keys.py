"""The keys of a partition's store; its changelog uses the same, but for what is local.

A user's key is the user id in UTF-8, in which the byte 0xFF never occurs. So 0xFF separates a user from the
number of an exclusion block, and leads the keys that belong to no user: no two of these can be the same.
"""

import struct

SEPARATOR = b"\xff"
NEXT_KEY = SEPARATOR + b"next"
"""The next offset of each source topic: written with the users, and sent to the changelog with them."""
TOPICS_KEY = SEPARATOR + b"topics"
"""Which topics the next offsets are of, as Kafka identifies them: written and sent like the next offsets."""
POSITION_KEY = SEPARATOR + b"position"
"""How far this store has followed the changelog: local, never sent."""
FOLLOWED_KEY = SEPARATOR + b"followed"
"""When this store last was the newest there is, in milliseconds since the epoch: local, never sent."""
PURGED_KEY = SEPARATOR + b"purged"
"""Which erasures left no trace in the files of this store: local, never sent."""
ERASED_PREFIX = SEPARATOR + b"erased"
"""Leads the keys that say when somebody was erased, by the hash of who it was."""

FINGERPRINTS_PER_BLOCK = 256

_BLOCK_NUMBER = struct.Struct(">I")
_HASH = struct.Struct(">Q")


def user_key(user_id: str) -> bytes:
    """Return the key of a user's state."""
    return user_id.encode()


def exclusion_prefix(user_id: str) -> bytes:
    """Return what the keys of all exclusion blocks of this user, and no others, begin with."""
    return user_id.encode() + SEPARATOR


def exclusion_key(user_id: str, block_number: int) -> bytes:
    """Return the key of an exclusion block; the blocks of a user sort by their number."""
    return exclusion_prefix(user_id) + _BLOCK_NUMBER.pack(block_number)


def exclusion_keys(user_id: str, exclusion_count: int) -> list[bytes]:
    """Return the keys of the blocks that hold this many fingerprints, in order."""
    return [exclusion_key(user_id, number) for number in range(-(-exclusion_count // FINGERPRINTS_PER_BLOCK))]


def erased_key(user_hash: int) -> bytes:
    """Return the key that says when the user of this hash was erased."""
    return ERASED_PREFIX + _HASH.pack(user_hash)


def erased_hash(key: bytes) -> int:
    """Return whose erasure a key tells of."""
    return int(_HASH.unpack(key.removeprefix(ERASED_PREFIX))[0])
