"""What must be true in the end, computed from what the source topics really hold; knows nothing of Freshet.

A user's sequence does not depend on the order in which the topics were merged: it is what is left of the
user's events, sorted by (time, topic, offset), cut to the newest.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tests.crash.stream import CLICKS, ERASURES, GOOD, PURCHASES

Position = tuple[str, int, int]  # topic, partition, offset
ACTION_OF = {CLICKS: "click", PURCHASES: "purchase"}


class InexactError(Exception):
    """The stream holds what the oracle cannot decide: its margins were too narrow."""


@dataclass(frozen=True, slots=True)
class Source:
    """One record of a source topic, with the truth that its header tells."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    truth: str

    @property
    def position(self) -> Position:
        """Where it is."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """An interaction in its place in a user's sequence: entries sort as they must be kept."""

    time_ms: int
    topic: str
    offset: int
    item_id: str = field(compare=False)
    action: str = field(compare=False)


@dataclass(slots=True)
class ExpectedUser:
    """What must be known of a user: the sequence, and the newest offset in each topic."""

    partition: int
    sequence: list[Entry] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)
    purchased: set[str] = field(default_factory=set)  # item ids that are not taken back


@dataclass(slots=True)
class Expected:
    """What must be true."""

    users: dict[str, ExpectedUser] = field(default_factory=dict)
    erasures: dict[str, list[Position]] = field(default_factory=dict)  # by user
    dead: dict[Position, Source] = field(default_factory=dict)
    counted: dict[Position, str] = field(default_factory=dict)  # position -> item id
    # Events of before an erasure: counted if they were applied before it, else dropped. Chance decides.
    perhaps_counted: dict[Position, str] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    duplicates: int = 0
    removed: int = 0
    unmatched: int = 0


def expect(records: Iterable[Source], history_length: int, margin_ms: int = 500) -> Expected:
    """Compute what must be true after these records.

    Raises InexactError if an event lies within `margin_ms` of an erasure of its user, or if a user whose
    events have ids did more than is kept.
    """
    expected = Expected()
    of_user: dict[str, list[Source]] = {}
    for record in records:
        at = record.topic, record.partition
        expected.ends[at] = max(expected.ends.get(at, 0), record.offset + 1)
        if record.truth != GOOD:
            expected.dead[record.position] = record
        else:
            of_user.setdefault((record.key or b"").decode(), []).append(record)
    for user_id, own in of_user.items():
        erasures = [record for record in own if record.topic == ERASURES]
        events = [record for record in own if record.topic != ERASURES]
        if erasures:
            events = _after_erasure(user_id, events, erasures, margin_ms, expected)
        if events:
            expected.users[user_id] = _user(user_id, events, history_length, expected)
    return expected


def _after_erasure(
    user_id: str, events: list[Source], erasures: list[Source], margin_ms: int, expected: Expected
) -> list[Source]:
    """Return the events of a new user; what is older may have been counted."""
    for record in events:
        if any(abs(record.time_ms - erasure.time_ms) < margin_ms for erasure in erasures):
            raise InexactError(f"{record.position} is within {margin_ms} ms of an erasure of {user_id}")
    newest = max(erasures, key=lambda erasure: erasure.time_ms)
    expected.erasures[user_id] = [erasure.position for erasure in erasures]
    older = [record for record in events if record.time_ms < newest.time_ms]
    # Which of the older ones teach anything is decided within each life of the user.
    for _, life in groupby(sorted(older, key=lambda r: r.time_ms), lambda r: _life(r, erasures)):
        _, counted = _replay(life, Expected())
        expected.perhaps_counted |= counted
    return [record for record in events if record.time_ms >= newest.time_ms]


def _life(record: Source, erasures: Sequence[Source]) -> int:
    return sum(erasure.time_ms <= record.time_ms for erasure in erasures)


def _user(user_id: str, events: list[Source], history_length: int, expected: Expected) -> ExpectedUser:
    user = ExpectedUser(events[0].partition)
    entries, counted = _replay(events, expected)
    if len(counted) > history_length and any("event_id" in _message(record) for record in events):
        raise InexactError(f"{user_id} did {len(counted)} things with event ids, {history_length} are kept")
    expected.counted |= counted
    user.sequence = sorted(entries)[-history_length:]
    user.purchased = {entry.item_id for entry in entries if entry.action == "purchase"}
    for record in events:
        user.positions[record.topic] = max(user.positions.get(record.topic, 0), record.offset)
    return user


def _replay(events: Iterable[Source], expected: Expected) -> tuple[list[Entry], dict[Position, str]]:
    """Apply a user's records, each topic's in their order; return what is left, and what was counted."""
    kept: dict[Position, Entry] = {}
    known: dict[object, Position] = {}  # event id -> where it is
    counted: dict[Position, str] = {}
    for record in sorted(events, key=lambda each: (each.topic, each.offset)):
        message = _message(record)
        event_id = message.get("event_id")
        if message.get("retract"):
            at = known.pop(event_id, None)
            expected.removed += at is not None
            expected.unmatched += at is None
            if at is not None:
                del kept[at]
        elif event_id in known:
            expected.duplicates += 1
        else:
            item_id = counted[record.position] = str(message["item_id"])
            kept[record.position] = _entry(record, message, item_id)
            if event_id is not None:
                known[event_id] = record.position
    return list(kept.values()), counted


def _entry(record: Source, message: dict[str, object], item_id: str) -> Entry:
    time_ms = int(str(message.get("timestamp", record.time_ms)))
    action = str(message.get("action", ACTION_OF[record.topic]))
    return Entry(time_ms, record.topic, record.offset, item_id, action)


def _message(record: Source) -> dict[str, object]:
    message: dict[str, object] = json.loads(record.value or b"{}")
    return message
