"""What a transaction carries, without a broker."""

import json

import msgspec
import pytest

from models.catalog import item_key
from state import MemoryStore
from state.overlay import Overlay
from streams.events import RecommendationList, decode_list
from streams.item_ids import encode_key
from streams.settings import Settings, SourceFields
from streams.transaction import ENVELOPE_BYTES, STEP_EVENTS, Transaction
from tests.streams.fakes import CLICKS, ERASURES, PURCHASES, START_MS, raw, record, tools_for

SETTINGS = Settings(device="cpu", history_length=1000)


def transaction(settings: Settings = SETTINGS, **changes: object) -> Transaction:
    """Return a new transaction of an empty partition."""
    defects = changes.pop("defects", None)
    return Transaction(0, {}, Overlay(MemoryStore()), tools_for(settings, **changes), defects)


def rows(of: Transaction, topic: str) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]:
    """Return what a closed transaction sends to a topic."""
    return of._outgoing.rows.get((topic, 0), [])


def orders() -> Settings:
    """Return settings whose purchases have lines."""
    source = msgspec.structs.replace(SETTINGS.sources[PURCHASES], fields=SourceFields(item_id="lines[].item"))
    return msgspec.structs.replace(SETTINGS, sources={**SETTINGS.sources, PURCHASES: source})


def test_carries_everything_of_its_records_at_once() -> None:
    """States, next offsets, a list a user, each new item id once, and dead letters are in one Outgoing."""
    one = transaction()
    records = [record(0, "u", "i"), raw(CLICKS, 1, b"u", b"{"), record(2, "v", "i"), record(3, "u", "j")]
    assert one.apply(records) == 4
    outgoing = one.close()
    assert outgoing.next_offsets == {CLICKS: 4}
    assert set(outgoing.users) >= {b"u", b"v"}
    lists = {key: decode_list(value) for key, value, _ in rows(one, "recommendations")}
    assert lists[b"u"].positions == {CLICKS: (0, 3)}
    assert lists[b"v"].positions == {CLICKS: (0, 2)}
    ids = [(key, value) for key, value, _ in rows(one, SETTINGS.item_ids_topic)]
    assert ids == [(encode_key(item_key(item)), item.encode()) for item in ("i", "j")]
    assert [(key, value) for key, value, _ in rows(one, "dead-letters")] == [(b"u", b"{")]


def test_what_was_applied_before_is_skipped() -> None:
    """Records below the next offset change nothing, and alone they make no transaction at all."""
    tools = tools_for(SETTINGS)
    again = Transaction(0, {CLICKS: 5}, Overlay(MemoryStore()), tools)
    assert again.apply([record(offset) for offset in range(5)]) == 5
    assert again.is_empty
    assert again.apply([record(4), record(5)]) == 2
    assert not again.is_empty
    assert again.close().next_offsets == {CLICKS: 6}
    text = tools.metrics.render().decode()
    assert 'freshet_duplicates_skipped_total{topic="clicks"} 6.0' in text


def test_only_refused_records_move_the_next_offset_too() -> None:
    """A transaction of dead letters alone is one: else they would come again and again."""
    one = transaction()
    one.apply([raw(CLICKS, 8, None, b"x")])
    assert not one.is_empty
    assert one.close().next_offsets == {CLICKS: 9}
    assert rows(one, "recommendations") == []


def test_a_step_ends_with_the_record_that_fills_it() -> None:
    """Orders of many lines are applied whole, a few at a time: nobody has the model's thread for long."""
    lines = json.dumps({"user_id": "u", "lines": [{"item": f"i{n}"} for n in range(200)]}).encode()
    one = transaction(orders())
    records = [raw(PURCHASES, offset, b"u", lines) for offset in range(8)]
    done = one.apply(records)
    assert done * 200 >= STEP_EVENTS > (done - 1) * 200
    assert one.next_offsets == {PURCHASES: done}
    assert one.apply(records[done:]) == done
    assert one.next_offsets == {PURCHASES: 2 * done}


def test_metrics_count_when_it_is_reported_and_only_then() -> None:
    """What is not durable is not counted; what is, is counted once, with the age of each list."""
    tools = tools_for(SETTINGS, now_seconds=lambda: START_MS / 1000 + 2)
    one = Transaction(0, {}, Overlay(MemoryStore()), tools)
    one.apply([record(0, time_ms=500), record(1, time_ms=1000), raw(CLICKS, 2, b"u", b"[]")])
    one.close()
    assert "freshet_events_total{" not in tools.metrics.render().decode()
    one.report()
    text = tools.metrics.render().decode()
    for line in (
        'freshet_events_total{action="click",topic="clicks"} 2.0',
        'freshet_dead_letters_total{reason="object",topic="clicks"} 1.0',
        "freshet_lists_total 1.0",
        "freshet_event_to_list_seconds_count 1.0",
        "freshet_event_to_list_seconds_sum 1.0",
    ):
        assert line in text.splitlines()


def test_a_list_that_nobody_asked_for_gives_way() -> None:
    """Lists of quiet users are carried and counted; who acts, or is erased, gets what follows from that."""
    tools = tools_for(SETTINGS)
    one = Transaction(0, {}, Overlay(MemoryStore()), tools)
    one.list_again([])
    assert one.is_empty
    stale = RecommendationList(
        user_id="", made_at=1, event_time=1, model_version="a:0", positions={}, items=[], republished=True
    )
    one.list_again(msgspec.structs.replace(stale, user_id=user_id) for user_id in ("quiet", "acts", "goes"))
    assert not one.is_empty
    one.apply([record(0, "acts"), raw(ERASURES, 0, b"goes", None)])
    one.close()
    lists = [
        (key, value and decode_list(value).republished) for key, value, _ in rows(one, "recommendations")
    ]
    assert lists == [(b"acts", False), (b"quiet", True), (b"goes", None)]
    assert ([each.user_id for each in one.lists], one.erased) == (["acts", "quiet"], ["goes"])
    one.report()
    text = tools.metrics.render().decode().splitlines()
    assert "freshet_lists_total 2.0" in text
    assert "freshet_republished_lists_total 1.0" in text
    assert "freshet_event_to_list_seconds_count 1.0" in text


def test_a_defect_is_refused_untouched() -> None:
    """A record that something fails on goes to the dead letters; the others are applied."""
    one = transaction(defects={(CLICKS, 1): "ZeroDivisionError()"})
    records = [record(offset) for offset in range(3)]
    one.apply(records)
    one.close()
    ((key, value, headers),) = rows(one, "dead-letters")
    assert (key, value) == (records[1].key, records[1].value)
    assert dict(headers)["reason"] == b"defect"
    assert b"ZeroDivisionError()" in dict(headers)["detail"]
    assert decode_list(rows(one, "recommendations")[0][1]).positions == {CLICKS: (0, 2)}


@pytest.mark.parametrize(("key", "value"), [(4, 100_000), (100_000, 4), (60_000, 60_000), (100_000, None)])
def test_a_dead_letter_is_cut_to_what_its_topic_takes(key: int, value: int | None) -> None:
    """A record that came compressed may be larger than any topic takes: it must not block the stream."""
    limit = 50_000
    one = transaction(message_bytes=limit)
    found = raw(CLICKS, 0, b"k" * key, None if value is None else b"v" * value)
    one.apply([found])
    ((kept_key, kept_value, headers),) = rows(one, "dead-letters")
    assert len(kept_key) + len(kept_value or b"") == limit - ENVELOPE_BYTES
    assert found.key.startswith(kept_key)
    assert (kept_value is None) == (value is None)
    assert dict(headers)["cut-from-bytes"] == str(key + (value or 0)).encode()
    assert sum(len(name) + len(text) for name, text in headers) < ENVELOPE_BYTES - 200


def test_a_dead_letter_that_fits_is_untouched() -> None:
    """Up to the limit nothing is cut, and nothing is said of it."""
    one = transaction(message_bytes=50_000)
    one.apply([raw(CLICKS, 0, b"k", b"v" * (50_000 - ENVELOPE_BYTES - 1))])
    ((_, value, headers),) = rows(one, "dead-letters")
    assert len(value) == 50_000 - ENVELOPE_BYTES - 1
    assert "cut-from-bytes" not in dict(headers)
