"""What an interaction may not be, and the reason that it is refused with."""

import json

import pytest

from streams.events import InteractionDecoder, Refused, dead_letter_headers
from streams.settings import Source, SourceFields

NOW_MS = 1_763_880_000_000
DAY_MS = 86_400_000
MEBIBYTE = 1 << 20


def message(**changes: object) -> bytes:
    """Return a valid message with some fields changed; None takes a field away."""
    fields = {"user_id": "u1", "item_id": "i1", "timestamp": NOW_MS} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def raw(**changes: str) -> bytes:
    """Return a valid message with some fields changed to JSON texts, valid or not."""
    fields = {"user_id": '"u1"', "item_id": '"i1"', "timestamp": str(NOW_MS)} | changes
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}").encode()


def refusal(value: bytes | None, key: bytes | None = b"u1", source: Source | None = None) -> Refused:
    """Return what a record is refused with."""
    with pytest.raises(Refused) as caught:
        InteractionDecoder("clicks", source or Source()).decode(key, value, NOW_MS)
    return caught.value


NOT_JSON = [
    b"",
    b" \n",
    b"\x00",
    b"{",
    b"}",
    b"{}{}",
    b"hello",
    b"'u1'",
    b'"u1',
    b"[1,2",
    b"[]{}",
    b"user_id=u1",
    b"<event/>",
    b"{'user_id':'u1'}",
    b'{"user_id":"u1","item_id":"i1"',
    b'{"user_id":"u1","item_id":"i1",}',
    b'{"user_id":"u1","item_id":"i1"} x',
    b'{"user_id":"u1" "item_id":"i1"}',
    b'{user_id:"u1"}',
    b'// comment\n{"user_id":"u1","item_id":"i1"}',
    b'\xef\xbb\xbf{"user_id":"u1","item_id":"i1"}',
    '{"user_id":"u1","item_id":"i1"}'.encode("utf-16"),
    '{"user_id":"u1","item_id":"i1"}'.encode("utf-32-be"),
    '{"user_id":"ü","item_id":"i1"}'.encode("latin-1"),
    b'{"user_id":"u1","item_id":"i1","x":"\xff"}',
    b'{"user_id":"u1","item_id":"\xc3"}',
    b'{"user_id":"\xed\xa0\x80","item_id":"i1"}',
    b'{"user_id":"\xc0\xaf","item_id":"i1"}',
    b'{"user_id":"u1","item_id":"i1\x00"}',
    b'{"user_id":"u1","item_id":"i\n1"}',
    b'{"user_id":"u1","item_id":"i1","x":"\\q"}',
    b'{"user_id":"u1","item_id":"i1","x":"\\u12"}',
    b'{"user_id":"u1","item_id":"i1"\x00}',
    b"\x1f\x8b\x08\x00" + bytes(20),
    b"\x00\x00\x00\x00\x01" + b'{"user_id":"u1","item_id":"i1"}',
    raw(item_id="01"),
    raw(item_id="1."),
    raw(value=".5"),
    raw(value="+1"),
    raw(value="1e"),
    raw(value="0x10"),
    raw(value="nan"),
    raw(retract="True"),
    raw(junk="NaN"),
    raw(junk="[Infinity]"),
    raw(junk="-Infinity"),
    raw(junk="[" * 200_000 + "]" * 200_000),
    raw(item_id="[" * 200_000 + "]" * 200_000),
    b"[" * MEBIBYTE,
    b'{"user_id":' * 50_000,
    b'{"a":' * 90_000 + b"1" + b"}" * 90_000,
]


@pytest.mark.parametrize("value", NOT_JSON, ids=lambda value: repr(value[:30]))
def test_what_is_not_json_is_refused_as_json(value: bytes) -> None:
    """Bytes that are not one JSON text in UTF-8 are refused with reason json, at any depth."""
    assert refusal(value).reason == "json"


@pytest.mark.parametrize(
    "value", [b"[]", b"[{}]", b'"u1"', b"1", b"1.5", b"true", b"null", b"1e999", b'"\\ud800"']
)
def test_json_that_is_not_an_object_is_refused_as_object(value: bytes) -> None:
    """A JSON text of another type than object is refused with reason object."""
    assert refusal(value).reason == "object"


def test_a_record_over_one_mebibyte_is_refused_by_its_size() -> None:
    """1 MiB is taken and one byte more is refused, whatever is in it."""
    decode = InteractionDecoder("clicks", Source()).decode
    whole = message() + b" " * (MEBIBYTE - len(message()))
    assert len(decode(b"u1", whole, NOW_MS)) == 1
    assert refusal(whole + b" ").reason == "size"
    assert refusal(b"x" * (5 * MEBIBYTE)).reason == "size"


@pytest.mark.parametrize("key", [None, b"", b"u2", b"u1 ", b"U1", b"\xff", b'"u1"', b"u1\x00", b"x" * 10_000])
def test_a_key_that_is_not_the_text_of_the_user_id_is_refused(key: bytes | None) -> None:
    """A record must be keyed by its user, or it would be applied where its user is not."""
    assert refusal(message(), key).reason == "key"


def test_a_null_value_is_refused_as_key() -> None:
    """A source holds events, and an event cannot be deleted by a null value."""
    refused = refusal(None)
    assert refused.reason == "key"
    assert "null value" in refused.detail


NO_ID = [
    '""',
    "true",
    "false",
    "1.0",
    "1.5",
    "1e3",
    "-0.0",
    "NaN",
    "-Infinity",
    "1e999",
    "[]",
    '["i1"]',
    "{}",
    '{"id":"i1"}',
    '"' + "x" * 257 + '"',
    '"' + "é" * 129 + '"',
    '"' + "😀" * 65 + '"',
    "9" * 257,
    "-" + "9" * 256,
    "9" * 5000,
    '"\\ud800"',
    '"a\\udfffb"',
    '"\\ude00\\ud83d"',
]


@pytest.mark.parametrize("text", NO_ID, ids=lambda text: text[:20])
@pytest.mark.parametrize("field", ["user_id", "item_id", "event_id"])
def test_what_is_no_id_is_refused_by_its_field(field: str, text: str) -> None:
    """An id is a string of 1 to 256 bytes or an integer."""
    assert refusal(raw(**{field: text})).reason == field


@pytest.mark.parametrize("field", ["user_id", "item_id"])
def test_a_missing_id_is_refused_by_its_field(field: str) -> None:
    """Without its user or its item, absent or null, an interaction is refused by the missing name."""
    for value in (message(**{field: None}), raw(**{field: "null"})):
        refused = refusal(value)
        assert refused.reason == field
        assert "found nothing" in refused.detail


NO_TIME = [
    "true",
    "false",
    "[]",
    "{}",
    "-1",
    "-0.001",
    "-1763880000000",
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "1e308",
    "9" * 400,
    str(NOW_MS + DAY_MS + 1),
    str((NOW_MS + DAY_MS) // 1000 + 1),
    "99999999999",
    '""',
    '" "',
    '"now"',
    '"1763880000000"',
    '"20251123"',
    '"2025"',
    '"2025-11"',
    '"2025-W47-7"',
    '"2025-13-01"',
    '"2025-02-30"',
    '"2025-11-23T25:00:00Z"',
    '"2025-11-23T06:60:00Z"',
    '"2025-11-23T06:40:00Zx"',
    '"2025-11-23T06:40:00 Europe/Berlin"',
    '"2025-11-23T06:40:00+99:00"',
    '"2025-11-23X06:40:00"',
    '"23.11.2025 06:40"',
    '"11/23/2025"',
    '"Sun, 23 Nov 2025 06:40:00 GMT"',
    '"1969-12-31T23:59:59.999Z"',
    '"1970-01-01T00:30:00+01:00"',
    '"0001-01-01T00:00:00+23:59"',
    '"0000-01-01"',
    '"9999-12-31T23:59:59-23:59"',
    '"2025-11-24T06:40:01Z"',
    '"\\uff12\\uff10\\uff12\\uff15-11-23"',
    '"2025-11-23\\u0000"',
    '"\\ud800"',
    '"' + "2" * 10_000 + '"',
]


@pytest.mark.parametrize("text", NO_TIME, ids=lambda text: text[:30])
def test_what_is_no_time_is_refused_as_timestamp(text: str) -> None:
    """A time is seconds, milliseconds or ISO 8601, not before 1970, not a day ahead of the record's own."""
    assert refusal(raw(timestamp=text)).reason == "timestamp"


@pytest.mark.parametrize(
    "text", ["true", '"5"', '""', "[]", "{}", "NaN", "1e999", "-1e999", "9" * 400, '"\\ud800"']
)
def test_what_is_no_finite_number_is_refused_as_value(text: str) -> None:
    """A value is a finite number or null."""
    assert refusal(raw(value=text)).reason == "value"


@pytest.mark.parametrize(
    "text",
    [
        '""',
        '"view"',
        '"Click"',
        '"click "',
        '"clicks"',
        "1",
        "true",
        "[]",
        '["click"]',
        "{}",
        '"\\ud800"',
        "NaN",
    ],
)
def test_what_is_no_action_is_refused_as_action(text: str) -> None:
    """A word that is neither an action nor mapped to one is refused, and so is what is no word."""
    assert refusal(raw(action=text)).reason == "action"


@pytest.mark.parametrize("text", ['"true"', '"false"', "0", "1", "[]", "{}", "NaN"])
def test_retract_is_refused_unless_it_is_a_truth_value_or_null(text: str) -> None:
    """Nothing that may have meant to retract is counted."""
    assert refusal(raw(retract=text)).reason == "retract"


def test_a_retraction_without_an_event_id_is_refused() -> None:
    """A retraction that does not say what it takes back is refused, item or not."""
    assert refusal(raw(retract="true")).reason == "event_id"


def test_the_detail_names_field_expectation_and_finding_in_few_bytes() -> None:
    """A detail is one sentence of at most 300 bytes that says what was expected, never the whole value."""
    refused = refusal(raw(item_id="2.5"))
    assert refused.detail == "item_id: expected a string of 1 to 256 bytes or an integer, found 2.5"
    for text in ['"' + "é" * 5000 + '"', "9" * 5000, '"\\ud800' + "x" * 500 + '"', "[" * 500 + "]" * 500]:
        detail = refusal(raw(timestamp=text)).detail
        assert "timestamp" in detail
        assert len(detail.encode()) <= 300
    renamed = Source(fields=SourceFields(item_id="é" * 200))
    assert len(refusal(message(), source=renamed).detail.encode()) <= 300


def test_a_dead_letter_says_where_it_came_from_and_why() -> None:
    """The headers hold reason and source position as UTF-8 text, and the detail beside them."""
    refused = refusal(raw(item_id='"\\ud800"'))
    headers = dead_letter_headers(refused, "clicks", 3, 1207, NOW_MS)
    assert headers[:5] == [
        ("reason", b"item_id"),
        ("source-topic", b"clicks"),
        ("source-partition", b"3"),
        ("source-offset", b"1207"),
        ("source-timestamp", b"1763880000000"),
    ]
    assert headers[5:] == [("detail", refused.detail.encode())]
