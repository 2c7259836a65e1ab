"""The oracle computes from a log what must be true."""

import json

import pytest

from tests.crash.oracle import Entry, InexactError, Source, expect
from tests.crash.stream import ERASURES, GOOD

NOW_MS = 1_700_000_000_000


def event(offset: int, item: object = "i1", topic: str = "clicks", **fields: object) -> Source:
    """Return a good record of user u1; its record time is an hour a offset."""
    time_ms = NOW_MS + 3_600_000 * offset
    value = json.dumps({"user_id": "u1", "item_id": item, "timestamp": time_ms} | fields).encode()
    return Source(topic, 2, offset, time_ms, b"u1", value, GOOD)


def retraction(offset: int, event_id: str, topic: str = "clicks") -> Source:
    """Return a record that takes an event of user u1 back."""
    value = json.dumps({"retract": True, "user_id": "u1", "event_id": event_id}).encode()
    return Source(topic, 2, offset, NOW_MS + 3_600_000 * offset, b"u1", value, GOOD)


def items(records: list[Source], history_length: int = 10) -> list[str]:
    """Return the items of user u1 in the order in which they must be kept."""
    return [entry.item_id for entry in expect(records, history_length).users["u1"].sequence]


def test_a_late_event_takes_its_place() -> None:
    """The order is that of event time, then topic, then offset, whatever came first."""
    records = [
        event(0, "a"),
        event(1, "b"),
        event(2, "late", timestamp=NOW_MS + 1000),
        event(5, "tie", topic="purchases", timestamp=NOW_MS),
        event(6, 7, timestamp=NOW_MS),
    ]
    assert items(records) == ["a", "7", "tie", "late", "b"]


def test_only_the_newest_are_kept() -> None:
    """Of more events than a history holds the newest by event time are left."""
    assert items([event(offset, f"i{offset}") for offset in (3, 0, 2, 1)], 2) == ["i2", "i3"]


def test_what_a_message_leaves_out() -> None:
    """The record's own time and the topic's own action stand in for absent ones."""
    record = event(4, topic="purchases")
    value = json.dumps({"user_id": "u1", "item_id": "a"}).encode()
    bare = Source(record.topic, 2, 4, record.time_ms, b"u1", value, GOOD)
    assert expect([bare], 10).users["u1"].sequence == [Entry(record.time_ms, "purchases", 4, "a", "purchase")]


def test_duplicates_and_retractions() -> None:
    """A duplicate counts nothing, a retraction removes, one without a match does nothing; positions move."""
    records = [
        event(0, "a", event_id="e1"),
        event(1, "b", event_id="e2"),
        event(2, "a", event_id="e1"),
        retraction(3, "e2"),
        retraction(4, "never"),
        event(5, "b", event_id="e2"),
    ]
    expected = expect(records, 10)
    assert items(records) == ["a", "b"]
    assert expected.users["u1"].positions == {"clicks": 5}
    assert list(expected.counted) == [("clicks", 2, offset) for offset in (0, 1, 5)]
    assert (expected.duplicates, expected.removed, expected.unmatched) == (1, 1, 1)


def test_an_erasure_begins_a_new_user() -> None:
    """What is older than an erasure is gone, and may have been counted; what is younger stays."""
    erasure = Source(ERASURES, 2, 0, NOW_MS + 5_400_000, b"u1", None, GOOD)
    expected = expect([event(0, "old"), event(1, "older"), event(2, "new"), erasure], 10)
    assert items([event(0, "old"), event(2, "new"), erasure]) == ["new"]
    assert expected.perhaps_counted == {("clicks", 2, 0): "old", ("clicks", 2, 1): "older"}
    assert expected.counted == {("clicks", 2, 2): "new"}
    assert "u1" not in expect([event(0), erasure], 10).users


def test_a_bad_record_touches_nobody() -> None:
    """A record whose truth is a reason belongs to the dead letters, and moves nothing but the log's end."""
    bad = Source("clicks", 2, 7, NOW_MS, b"u1", b"{", "json")
    expected = expect([event(0), bad], 10)
    assert expected.dead == {("clicks", 2, 7): bad}
    assert expected.users["u1"].positions == {"clicks": 0}
    assert expected.ends == {("clicks", 2): 8}


def test_what_it_cannot_decide_is_said() -> None:
    """Events too close to an erasure, and ids that a full history has forgotten, are refused."""
    erasure = Source(ERASURES, 2, 0, NOW_MS + 100, b"u1", None, GOOD)
    with pytest.raises(InexactError, match="within"):
        expect([event(0), erasure], 10)
    with pytest.raises(InexactError, match="event ids"):
        expect([event(offset, event_id=f"e{offset}") for offset in range(3)], 2)
