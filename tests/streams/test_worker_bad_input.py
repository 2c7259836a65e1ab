"""What is not an interaction ends in the dead letters, each with its reason, while good events flow on."""

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from streams.events import RecommendationList
from streams.settings import Settings
from tests.streams.running import Shop, WorkerProcess

START_MS = 1_700_000_000_000
ROUNDS = 60

Broken = tuple[bytes | None, bytes | None]


def record(**fields: object) -> Broken:
    """Return a record of user "u" with some fields replaced."""
    message = {"user_id": "u", "item_id": "i", "timestamp": START_MS} | fields
    return b"u", json.dumps({name: value for name, value in message.items() if value is not ...}).encode()


# reason -> records that have to be refused for it
BROKEN: dict[str, list[Broken]] = {
    "json": [
        (b"u", b""),
        (b"u", b"\x00\xff\xfe"),
        (b"u", b'{"user_id": "u"'),
        (b"u", b"[" * 100_000),
        (b"u", b'{"user_id": "\xff", "item_id": "i"}'),
    ],
    "object": [(b"u", b"[1, 2]"), (b"u", b'"text"'), (b"u", b"7"), (b"u", b"null")],
    "key": [(None, record()[1]), (b"other", record()[1]), (b"\xff", record()[1]), (b"u", None)],
    "user_id": [record(user_id=...), record(user_id=""), record(user_id=1.5), record(user_id=True)],
    "item_id": [record(item_id=...), record(item_id=["i"]), record(item_id="x" * 257), record(item_id=None)],
    "timestamp": [
        record(timestamp="yesterday"),
        record(timestamp=-5),
        record(timestamp=True),
        record(timestamp=10**17),
        record(timestamp="1969-12-31T23:59:59Z"),
    ],
    "action": [record(action="teleport"), record(action=3)],
    "value": [
        record(value="much"),
        record(value=[1]),
        (b"u", b'{"user_id": "u", "item_id": "i", "value": NaN}'),
        (b"u", b'{"user_id": "u", "item_id": "i", "value": 1e999}'),
    ],
    "event_id": [record(event_id=""), record(event_id=2.5), record(retract=True)],
    "retract": [record(retract="yes")],
    "size": [(b"u", json.dumps({"user_id": "u", "item_id": "i", "note": "x" * 1_050_000}).encode())],
}


def test_every_kind_of_bad_input_ends_in_the_dead_letters(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
    newest_lists: Callable[[Settings], dict[str, RecommendationList]],
    read_topic: Callable[[Settings, str], list[Any]],
) -> None:
    """Each bad record is in the dead letters once, untouched, with its reason and position."""
    settings = settings_for()
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    expected = send_mixed(shop)
    worker.wait_until(lambda: worker.metric("freshet_dead_letters_total") >= len(expected), "all refused")
    worker.wait_until(lambda: worker.has_applied(shop), "all applied")
    found = [
        (headers(letter)["reason"], letter.key, letter.value)
        for letter in read_topic(settings, settings.topics.dead_letters)
    ]
    assert sorted(map(repr, found)) == sorted(map(repr, expected))
    assert worker.metric("freshet_events_total") == shop.count
    assert newest_lists(settings).keys() == shop.sent.keys()
    assert worker.metric("freshet_rebalances_total") == 1
    check_positions(settings, read_topic)


def send_mixed(shop: Shop) -> list[tuple[str, bytes | None, bytes | None]]:
    """Send good events and bad ones of every kind; return (reason, key, value) of the bad ones."""
    rng = random.Random(11)
    kinds = [(reason, broken) for reason, records in BROKEN.items() for broken in records]
    expected = []
    for event in range(ROUNDS * len(kinds)):
        shop.send(f"u{event % 25}", f"i{rng.randrange(40)}", START_MS + event)
        reason, (key, value) = kinds[event % len(kinds)]
        if reason == "size" and event >= len(kinds):
            continue
        shop.send_bytes(key, value, rng.choice(list(shop.settings.sources)))
        expected.append((reason, key, value))
    shop.flush()
    return expected


def check_positions(settings: Settings, read_topic: Callable[[Settings, str], list[Any]]) -> None:
    """Look every dead letter up where it says that it came from."""
    sources = {
        (record.topic, record.partition, record.offset): record
        for topic in settings.sources
        for record in read_topic(settings, topic)
    }
    for letter in read_topic(settings, settings.topics.dead_letters):
        named = headers(letter)
        at = (named["source-topic"], int(named["source-partition"]), int(named["source-offset"]))
        assert (letter.key, letter.value) == (sources[at].key, sources[at].value)
        assert int(named["source-timestamp"]) == sources[at].timestamp
        assert letter.partition == sources[at].partition


def headers(letter: Any) -> dict[str, str]:  # noqa: ANN401 - kafka-python has no types
    """Return the headers of a dead letter as text."""
    return {name: value.decode() for name, value in letter.headers}


def test_an_order_is_applied_whole_or_refused_whole(
    settings_for: Callable[..., Settings],
    start_worker: Callable[..., WorkerProcess],
    open_shop: Callable[[Settings], Shop],
) -> None:
    """The lines of an order become interactions in their order; one bad line refuses all of them."""
    settings = settings_for()
    orders = list(settings.sources)[1]
    source = settings.sources[orders]
    fields = msgspec.structs.replace(source.fields, user_id="customer.id", item_id="lines[].sku")
    mapped = {**settings.sources, orders: msgspec.structs.replace(source, fields=fields)}
    settings = msgspec.structs.replace(settings, sources=mapped)
    shop = open_shop(settings)
    worker = start_worker(settings)
    worker.wait_ready()
    for lines in ([{"sku": "a"}, {"sku": 2}, {"sku": "c"}], [{"sku": "d"}, {"sku": ""}]):
        order = {"customer": {"id": 7}, "lines": lines, "timestamp": START_MS}
        shop.send_bytes(b"7", json.dumps(order).encode(), orders)
    shop.flush()
    worker.wait_until(lambda: worker.metric("freshet_dead_letters_total") == 1, "one refused")
    found = worker.user("7")
    assert found is not None
    assert [(event["item_id"], event["action"]) for event in found["sequence"]] == [
        ("a", "purchase"),
        ("2", "purchase"),
        ("c", "purchase"),
    ]
