"""Every decoder as a target: valid bytes to begin with, how changed bytes are sealed, what comes of them.

`inner` bytes are what lies under a checksum or a compression. A fuzzer changes them and seals them again, so
that the checks behind the checksum are reached; where there is no seal, inner bytes are the encoding itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz import learned, users, wire
from tests.fuzz.outcome import Check

Seal = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Target:
    """A decoder. `check` raises for anything but a value that survives its encoding, or a named refusal."""

    name: str
    check: Check
    seeds: tuple[bytes, ...]
    """Inner bytes of valid encodings."""
    seal: Seal = bytes

    def valid(self) -> list[bytes]:
        """Return valid encodings."""
        return [self.seal(seed) for seed in self.seeds]


def all_targets() -> tuple[Target, ...]:
    """Return every decoder of records, stores and files."""
    return (
        *(
            Target(f"interactions of {name}", wire.interactions(source), wire.MESSAGES)
            for name, source in wire.SOURCES.items()
        ),
        Target("items", wire.items, wire.ITEMS),
        Target("lists", wire.lists, wire.LISTS),
        Target("erasures and receipts", wire.erasures, wire.ERASURES),
        Target("item ids", wire.item_ids, wire.ITEM_IDS),
        Target("log lines", wire.log_lines, wire.LOG_LINES),
        Target("user state", users.state, users.STATES, users.with_checksum),
        Target("next offsets", users.next_offsets, users.NEXT_OFFSETS, users.with_checksum),
        Target("topic ids", users.topic_ids, users.TOPIC_IDS),
        Target("exclusion blocks", users.exclusions, users.EXCLUSIONS),
        Target("a user in the store", users.stored_user, users.STATES, users.with_checksum),
        Target("number of users", users.user_count, users.USER_COUNTS),
        Target("erasures in the store", users.erasures, users.ERASURES),
        Target("examples", learned.examples, learned.EXAMPLES, learned.sealed_examples),
        Target("checkpoint", learned.checkpoint, learned.CHECKPOINTS, learned.sealed_checkpoint),
    )
