"""What an interaction may be, and how a source's own messages are mapped to it."""

import json
from collections.abc import Mapping

import msgspec
import pytest

from streams.errors import ConfigurationError
from streams.events import ACTIONS, Interaction, InteractionDecoder, Refused, Retraction
from streams.settings import Source, SourceFields

NOW_MS = 1_763_880_000_000  # 2025-11-23T06:40:00Z


def decode(
    fields: Mapping[str, object], source: Source | None = None, key: bytes = b"u1"
) -> list[Interaction]:
    """Decode a message of these fields."""
    return InteractionDecoder("clicks", source or Source()).decode(key, json.dumps(fields).encode(), NOW_MS)


def mapped(**paths: str) -> Source:
    """Return a source of purchases whose fields have these paths."""
    return Source(action="purchase", fields=SourceFields(**paths))


def test_a_plain_interaction_is_taken_as_it_is() -> None:
    """The default mapping reads the fields of the default names, and ignores others."""
    fields = {"user_id": "u1", "item_id": "i1", "timestamp": NOW_MS - 5, "value": 2, "action": "cart"}
    (got,) = decode(fields | {"event_id": "e1", "retract": False, "page": {"url": ["x"]}, "": 0})
    assert got == Interaction("u1", "i1", "cart", NOW_MS - 5, 2.0, "e1")


def test_absent_and_null_are_the_same() -> None:
    """Every optional field may be null, which says no more than its absence."""
    optional = ("timestamp", "value", "action", "event_id", "retract")
    ids = {"user_id": "u1", "item_id": "i1"}
    expected = [Interaction("u1", "i1", "click", NOW_MS)]
    assert decode(ids) == decode(ids | dict.fromkeys(optional)) == expected


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (0, "0"),
        (-7, "-7"),
        (42, "42"),
        (2**64, str(2**64)),
        (10**255, "1" + "0" * 255),
        (" ", " "),
        ("é" * 128, "é" * 128),
        ("x" * 256, "x" * 256),
        ("a\u0000b\n", "a\u0000b\n"),
        ("😀", "😀"),
        ("null", "null"),
    ],
    ids=repr,
)
def test_an_id_is_a_text_or_an_integer(found: object, text: str) -> None:
    """An integer becomes its decimal text, which is also what the key must be; a text stays as it is."""
    (got,) = decode({"user_id": found, "item_id": found, "event_id": found}, key=text.encode())
    assert (got.user_id, got.item_id, got.event_id) == (text, text, text)


@pytest.mark.parametrize(
    ("found", "time_ms"),
    [
        (None, NOW_MS),
        (0, 0),
        (-0.0, 0),
        (1, 1000),
        (1_763_880_000, NOW_MS),
        (1_763_880_000.123, NOW_MS + 123),
        (1.7638800001e9, NOW_MS + 100),
        (1_763_880_000_123, NOW_MS + 123),
        (1_763_880_000_123.9, NOW_MS + 123),
        (10**11, 10**11),
        (NOW_MS + 86_400_000, NOW_MS + 86_400_000),
        ("2025-11-23T06:40:00Z", NOW_MS),
        ("2025-11-23t06:40:00z", NOW_MS),
        ("2025-11-23 06:40:00", NOW_MS),
        ("2025-11-23T06:40", NOW_MS),
        ("2025-11-23T06:40:00.123Z", NOW_MS + 123),
        ("2025-11-23T06:40:00,5Z", NOW_MS + 500),
        ("2025-11-23T06:40:00.123456789Z", NOW_MS + 123),
        ("2025-11-23T07:40:00+01:00", NOW_MS),
        ("2025-11-23T07:40:00+0100", NOW_MS),
        ("2025-11-23T07:40:00+01", NOW_MS),
        ("2025-11-22T23:40:00.5-07:00", NOW_MS + 500),
        ("20251123T064000Z", NOW_MS),
        ("20251123T0640", NOW_MS),
        ("2025-11-23", NOW_MS - 24_000_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
    ],
    ids=repr,
)
def test_a_time_is_seconds_milliseconds_or_iso_8601(found: object, time_ms: int) -> None:
    """Below 10^11 a number is seconds, from there on milliseconds; a text without a zone is UTC."""
    (got,) = decode({"user_id": "u1", "item_id": "i1", "timestamp": found})
    assert got.timestamp_ms == time_ms


def test_the_unit_of_a_time_can_be_said() -> None:
    """With a unit a number of any size has that unit, and ISO 8601 is still understood."""
    ids = {"user_id": "u1", "item_id": "i1"}
    in_milliseconds = Source(timestamp_unit="milliseconds")
    in_seconds = Source(timestamp_unit="seconds")
    assert decode(ids | {"timestamp": 5000}, in_milliseconds)[0].timestamp_ms == 5000
    assert decode(ids | {"timestamp": 5000.25}, in_seconds)[0].timestamp_ms == 5_000_250
    assert decode(ids | {"timestamp": "1970-01-02"}, in_seconds)[0].timestamp_ms == 86_400_000
    with pytest.raises(Refused, match="timestamp"):
        decode(ids | {"timestamp": NOW_MS}, in_seconds)


def test_a_record_without_a_time_gives_none() -> None:
    """Where neither the message nor its record has a time there is none to guess."""
    with pytest.raises(Refused, match="timestamp"):
        InteractionDecoder("clicks", Source()).decode(b"u1", b'{"user_id":"u1","item_id":"i1"}', -1)


def test_a_messages_own_action_wins() -> None:
    """The section's action is for messages that have none; mapped words are understood beside the actions."""
    source = Source(action="purchase", actions={"view": "click", "like": "favorite", "cart": "click"})
    words = {"view": "click", "like": "favorite", "click": "click", "cart": "click", None: "purchase"}
    for word, action in words.items():
        assert decode({"user_id": "u1", "item_id": "i1", "action": word}, source)[0].action == action
    with pytest.raises(Refused, match="action"):
        decode({"user_id": "u1", "item_id": "i1", "action": "share"}, source)


def test_actions_have_their_code_by_their_place() -> None:
    """The place of an action is its code in every stored state, so it can never change."""
    assert ACTIONS == ("click", "cart", "favorite", "purchase")


def test_renamed_and_nested_fields_are_read() -> None:
    """A path follows names into objects, and several paths may go through the same object."""
    source = mapped(
        user_id="customer.id",
        item_id="product.sku",
        timestamp="meta.at.utc",
        value="product.price",
        action="what",
        event_id="meta.uuid",
    )
    fields = {
        "customer": {"id": 7, "name": "A"},
        "product": {"sku": "s1", "price": 9.5},
        "meta": {"at": {"utc": "2025-11-23T06:39:00Z"}, "uuid": "e7"},
        "what": "click",
        "user_id": "not me",
    }
    assert decode(fields, source, b"7") == [Interaction("7", "s1", "click", NOW_MS - 60_000, 9.5, "e7")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "user_id"),
        ({"customer": None}, "user_id"),
        ({"customer": {}}, "user_id"),
        ({"customer": "u1"}, "user_id"),
        ({"customer": ["u1"]}, "user_id"),
        ({"customer": {"id": "u1"}}, "item_id"),
        ({"customer": {"id": "u1"}, "item_id": "i1", "meta": "noon"}, "timestamp"),
        ({"customer": {"id": "u1"}, "item_id": "i1", "meta": {"at": []}}, "timestamp"),
    ],
    ids=repr,
)
def test_a_path_that_leads_nowhere_is_refused_by_its_field(fields: dict[str, object], reason: str) -> None:
    """What is missing or of a wrong type on the way to a field is the field's fault."""
    with pytest.raises(Refused) as caught:
        decode(fields, mapped(user_id="customer.id", timestamp="meta.at"))
    assert caught.value.reason == reason


ORDER = mapped(
    user_id="customer.id",
    item_id="order.lines[].sku",
    value="order.lines[].quantity",
    event_id="order.number",
)


def order(*lines: object, **more: object) -> dict[str, object]:
    """Return an order of these lines."""
    return {"customer": {"id": "u1"}, "order": {"number": 12, "lines": list(lines)}} | more


def test_each_line_of_an_order_is_an_interaction() -> None:
    """Lines keep their order and their own values, and share what is outside of them."""
    got = decode(order({"sku": "a", "quantity": 2}, {"sku": 5}, timestamp=NOW_MS - 1), ORDER)
    assert got == [
        Interaction("u1", "a", "purchase", NOW_MS - 1, 2.0, "12"),
        Interaction("u1", "5", "purchase", NOW_MS - 1, None, "12"),
    ]


def test_every_field_but_the_user_may_be_in_the_lines() -> None:
    """A line may have a time, an action, an event id and a retraction of its own."""
    source = Source(
        fields=SourceFields(
            item_id="l[].i", timestamp="l[].t", action="l[].a", event_id="l[].e", retract="l[].r"
        )
    )
    lines = [{"i": "a", "t": 5, "a": "cart", "e": 1}, {"i": "b", "r": False}]
    assert decode({"user_id": "u1", "l": lines}, source) == [
        Interaction("u1", "a", "cart", 5000, None, "1"),
        Interaction("u1", "b", "click", NOW_MS),
    ]
    taken_back = [*lines, {"e": 7, "r": True}]
    assert decode({"user_id": "u1", "l": taken_back}, source)[2] == Retraction("u1", "7")
    with pytest.raises(Refused, match="retract"):
        decode({"user_id": "u1", "l": [*lines, {"i": "c", "r": "yes"}]}, source)


def test_a_retraction_tells_its_event_and_nothing_else() -> None:
    """A message that takes something back needs a user and an event id, and no item."""
    assert decode({"user_id": "u1", "event_id": "e", "retract": True}) == [Retraction("u1", "e")]
    with pytest.raises(Refused) as caught:
        decode({"user_id": "u1", "item_id": "a", "retract": True})
    assert caught.value.reason == "event_id"


def test_an_order_is_taken_back_whole_or_by_line() -> None:
    """An order's own retraction is one, whatever its lines; a line's means the item of that line."""
    assert decode(order(retract=True), ORDER) == [Retraction("u1", "12")]
    source = mapped(item_id="lines[].sku", retract="lines[].gone", event_id="number")
    lines = [{"sku": "a", "gone": True}, {"sku": "b"}]
    assert decode({"user_id": "u1", "number": 3, "lines": lines}, source) == [
        Retraction("u1", "3", "a"),
        Interaction("u1", "b", "purchase", NOW_MS, None, "3"),
    ]


def test_lines_may_be_the_items_themselves() -> None:
    """A path that ends with [] takes each element as the value."""
    got = decode({"user_id": "u1", "skus": ["a", 2]}, mapped(item_id="skus[]"))
    assert [interaction.item_id for interaction in got] == ["a", "2"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (order(), "lines"),
        (order(*[{"sku": "a"}] * 1001), "lines"),
        (order(None), "lines"),
        (order("a"), "lines"),
        (order({"sku": "a"}, ["b"]), "lines"),
        ({"customer": {"id": "u1"}}, "lines"),
        ({"customer": {"id": "u1"}, "order": {}}, "lines"),
        ({"customer": {"id": "u1"}, "order": {"lines": None}}, "lines"),
        ({"customer": {"id": "u1"}, "order": {"lines": {"sku": "a"}}}, "lines"),
        ({"customer": {"id": "u1"}, "order": "o1"}, "lines"),
        (order({}), "item_id"),
        (order({"sku": "a"}, {"sku": ""}), "item_id"),
        (order({"sku": "a"}, {"sku": "b", "quantity": "2"}), "value"),
        (order({"sku": "a"}, retract="yes"), "retract"),
        (order(retract=1), "retract"),
        (order({"sku": "a"}, timestamp="soon"), "timestamp"),
        (order({"sku": "a"}, action="gift"), "action"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_order_is_refused_whole(fields: dict[str, object], reason: str) -> None:
    """One line that cannot be taken refuses the order, and so does a list of no lines or too many."""
    with pytest.raises(Refused) as caught:
        decode(fields, ORDER)
    assert caught.value.reason == reason


def test_an_order_of_a_thousand_lines_is_taken() -> None:
    """The largest order gives a thousand interactions, and the refusal of a line says which one it is."""
    lines = [{"sku": n} for n in range(1000)]
    assert len(decode(order(*lines), ORDER)) == 1000
    lines[700] = {"sku": True}  # type: ignore[dict-item]
    with pytest.raises(Refused, match=r"line 700: order\.lines"):
        decode(order(*lines), ORDER)


@pytest.mark.parametrize(
    "paths",
    [
        {"user_id": ""},
        {"item_id": "."},
        {"item_id": "a..b"},
        {"item_id": ".a"},
        {"item_id": "a."},
        {"item_id": "[]"},
        {"item_id": "[].sku"},
        {"item_id": "lines[]sku"},
        {"item_id": "lines[]."},
        {"item_id": "lines[].tags[]"},
        {"item_id": "lines[0].sku"},
        {"item_id": 'say "x"'},
        {"item_id": "a\\b"},
        {"item_id": "a\nb"},
        {"user_id": "lines[].user", "item_id": "lines[].sku"},
        {"value": "lines[].price"},
        {"item_id": "lines[].sku", "value": "items[].price"},
    ],
    ids=repr,
)
def test_a_path_that_is_none_is_a_configuration_error(paths: dict[str, str]) -> None:
    """A mapping that cannot be followed is refused before any record, by the name of its setting."""
    with pytest.raises(ConfigurationError, match=r"sources\.clicks\.fields\."):
        InteractionDecoder("clicks", mapped(**paths))


def test_the_last_of_duplicate_names_counts() -> None:
    """A name that is said twice has its last value, also where only the slow reader can read the message."""
    twice = b'{"user_id":"u0","user_id":"u1","item_id":true,"item_id":"i1"%s}'
    for more in (b"", b',"x":1e999'):
        (got,) = InteractionDecoder("clicks", Source()).decode(b"u1", twice % more, NOW_MS)
        assert (got.user_id, got.item_id) == ("u1", "i1")


@pytest.mark.parametrize(
    "junk", [b"1e999", b'"\\ud800"', b"9" * 5000, b'["\\udfff",{"a":-1e400}]', b"[" * 200 + b"]" * 200]
)
def test_an_unknown_field_is_ignored_whatever_it_holds(junk: bytes) -> None:
    """JSON that cannot be represented matters only where a field is read, even in an object on the way."""
    value = b'{"c":{"id":"u1","junk":%s},"item_id":"i1","junk":%s}' % (junk, junk)
    assert len(InteractionDecoder("clicks", mapped(user_id="c.id")).decode(b"u1", value, NOW_MS)) == 1


def test_escaped_text_is_the_text() -> None:
    """Escapes in names and values are read as what they stand for."""
    value = b'{"\\u0075ser_id":"\\u00fc\\ud83d\\ude00","item_id":"\\/"}'
    (got,) = InteractionDecoder("clicks", Source()).decode("ü😀".encode(), value, NOW_MS)
    assert got.item_id == "/"


def test_an_interaction_cannot_be_changed() -> None:
    """An interaction is a fact; stages share it without copies."""
    (got,) = decode({"user_id": "u1", "item_id": "i1"})
    with pytest.raises(AttributeError):
        got.item_id = "i2"  # type: ignore[misc]
    assert msgspec.structs.replace(got, item_id="i2").item_id == "i2"
