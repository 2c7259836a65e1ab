"""What holds for every record that hypothesis can think of."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.events import (
    ACTIONS,
    Interaction,
    InteractionDecoder,
    ItemListed,
    ItemRemoved,
    RecommendationList,
    RecommendedItem,
    Refused,
    decode_item,
    decode_list,
    encode_interaction,
    encode_item,
    encode_list,
)
from streams.settings import Source, SourceFields

# How long an example takes says more about the machine than about the code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Result = TypeVar("Result")

NOW_MS = 1_763_880_000_000
REASONS = {"json", "object", "key", "size", "user_id", "item_id", "timestamp", "action", "value"}
REASONS |= {"event_id", "retract", "lines"}

DECODERS = [
    InteractionDecoder("clicks", Source()),
    InteractionDecoder("views", Source(fields=SourceFields(user_id="user_id.id", item_id="a.b.c"))),
    InteractionDecoder(
        "orders", Source(fields=SourceFields(item_id="item_id[].sku", value="item_id[].value", action="a"))
    ),
    InteractionDecoder("baskets", Source(fields=SourceFields(item_id="item_id[]"), timestamp_unit="seconds")),
]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ids = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)
times = st.integers(0, NOW_MS + 86_400_000)
finite = st.floats(allow_nan=False, allow_infinity=False)

names = st.sampled_from([*SourceFields.__struct_fields__, "id", "a", "b", "c", "sku"])
leaves: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["u1", "i1", "click", "2025-11-23T06:40:00Z", NOW_MS, 1e300, 10**300, -1]),
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
    max_leaves=12,
)
messages = st.dictionaries(names, trees, max_size=9)


def attempt(decode: Callable[[], Result]) -> Result | Refused:
    """Return what a decoder returns, or how it refuses; anything else that it raises fails the test."""
    try:
        return decode()
    except Refused as refused:
        return refused


def outcome(decoder: InteractionDecoder, key: bytes | None, value: bytes | None, time_ms: int) -> None:
    """Decode, and check whatever comes of it."""
    got = attempt(lambda: decoder.decode(key, value, time_ms))
    if isinstance(got, Refused):
        assert got.reason in REASONS
        assert 0 < len(got.detail.encode()) <= 300
        return
    assert 1 <= len(got) <= 1000
    for interaction in got:
        assert key == interaction.user_id.encode()
        assert 1 <= len(interaction.item_id.encode()) <= 256
        assert interaction.action in ACTIONS
        assert type(interaction.timestamp_ms) is int
        assert 0 <= interaction.timestamp_ms <= time_ms + 86_400_000
        again = DECODERS[0].decode(key, encode_interaction(interaction), time_ms)
        assert again == [interaction]


@patient
@given(st.binary() | st.none(), st.binary() | st.none(), st.integers(-1, 2 * NOW_MS))
def test_any_bytes_are_taken_or_refused(key: bytes | None, value: bytes | None, time_ms: int) -> None:
    """Arbitrary bytes give interactions or a refusal with a known reason, and nothing else."""
    for decoder in DECODERS:
        outcome(decoder, key, value, time_ms)


@patient
@given(messages)
def test_any_json_object_is_taken_or_refused(message: dict[str, Any]) -> None:
    """Objects with the right names and arbitrary values give valid interactions or a refusal."""
    value = json.dumps(message).encode()
    for decoder in DECODERS:
        outcome(decoder, str(message.get("user_id", "u1")).encode("utf-8", "replace"), value, NOW_MS)


@patient
@given(messages, st.data())
def test_any_damaged_json_is_taken_or_refused(message: dict[str, Any], data: st.DataObject) -> None:
    """A message that is cut, or in which bytes were replaced, is never anything but taken or refused."""
    value = bytearray(json.dumps({"user_id": "u1", "item_id": "i1"} | message).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(value[: data.draw(st.integers(0, len(value)))])
    for decoder in DECODERS:
        outcome(decoder, b"u1", damaged, NOW_MS)


@patient
@given(messages)
def test_the_fast_and_the_slow_reader_agree(message: dict[str, Any]) -> None:
    """What the standard library reads instead of msgspec is taken or refused in the same way."""
    try:
        value = json.dumps({"user_id": "u1", "item_id": "i1"} | message, allow_nan=False)
    except ValueError:
        return
    slow = value.removesuffix("}") + ', "unknown": 1e999}'
    for decoder in DECODERS:
        fast, salvaged = (
            attempt(partial(decoder.decode, b"u1", text.encode(), NOW_MS)) for text in (value, slow)
        )
        assert repr(fast) == repr(salvaged)


@patient
@given(st.builds(Interaction, ids, ids, st.sampled_from(ACTIONS), times, st.none() | finite, st.none() | ids))
def test_an_interaction_survives_the_wire(interaction: Interaction) -> None:
    """Decoding what was encoded gives the same interaction."""
    value = encode_interaction(interaction)
    assert DECODERS[0].decode(interaction.user_id.encode(), value, NOW_MS) == [interaction]


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | finite | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
items = st.builds(
    ItemListed,
    item_id=ids,
    title=texts,
    text=texts,
    categories=st.lists(texts, max_size=3),
    brand=texts,
    attributes=st.dictionaries(texts, plain, max_size=3),
    relations=st.lists(st.tuples(texts, texts), max_size=3),
)


@patient
@given(items)
def test_an_item_survives_the_wire(item: ItemListed) -> None:
    """Decoding what was encoded gives the same item, and a null value removes it."""
    assert decode_item(item.item_id.encode(), encode_item(item)) == item
    assert decode_item(item.item_id.encode(), None) == ItemRemoved(item.item_id)


lists = st.builds(
    RecommendationList,
    user_id=ids,
    made_at=times,
    event_time=times,
    model_version=texts,
    positions=st.dictionaries(texts, st.tuples(st.integers(0, 2**31), st.integers(0, 2**62)), max_size=3),
    items=st.lists(
        st.builds(
            RecommendedItem,
            item_id=ids,
            score=finite,
            title=st.none() | texts,
            reasons=st.lists(texts, max_size=3),
        ),
        max_size=4,
    ),
    republished=st.booleans(),
)


@patient
@given(lists)
def test_a_list_survives_the_wire(recommendations: RecommendationList) -> None:
    """Decoding what was encoded gives the same list."""
    assert decode_list(encode_list(recommendations)) == recommendations


@patient
@given(st.binary() | messages.map(lambda message: json.dumps(message).encode()))
def test_any_bytes_are_an_item_and_a_list_or_refused(value: bytes) -> None:
    """Arbitrary bytes and arbitrary objects never give anything but an item, a list or a refusal."""
    for decode in (lambda: decode_item(b"i1", value), lambda: decode_list(value)):
        got = attempt(decode)
        if isinstance(got, Refused):
            assert 0 < len(got.detail.encode()) <= 300
