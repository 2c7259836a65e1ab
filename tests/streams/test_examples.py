"""The records of the examples log."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.examples import (
    MAGIC,
    VERSION,
    CorruptExamplesError,
    Example,
    ExampleHistory,
    Examples,
    decode_examples,
    encode_examples,
    user_hash,
)

KEYS = st.integers(0, 2**64 - 1)
TIMES = st.integers(0, 2**45)
OFFSETS = st.integers(0, 2**60)
TOPICS = ("clicks", "purchases", "wishes")


@st.composite
def histories(draw: st.DrawFn) -> ExampleHistory:
    """Draw a history."""
    length = draw(st.integers(0, 6))
    return ExampleHistory(
        draw(KEYS),
        [draw(KEYS) for _ in range(length)],
        [draw(st.integers(0, 3)) for _ in range(length)],
        [draw(TIMES) for _ in range(length)],
    )


@st.composite
def records(draw: st.DrawFn) -> Examples:
    """Draw a record whose events belong to its histories and topics."""
    spans = {
        topic: (draw(OFFSETS), draw(OFFSETS)) for topic in draw(st.sets(st.sampled_from(TOPICS), min_size=1))
    }
    users = draw(
        st.lists(histories(), max_size=4)
    )  # each of them did something, or nothing would tell of them
    events = draw(
        st.lists(
            st.builds(
                Example,
                topic=st.sampled_from(sorted(spans)),
                offset=OFFSETS,
                item_key=KEYS,
                action=st.integers(0, 3),
                time_ms=TIMES,
                is_late=st.booleans(),
                user=st.integers(0, max(len(users) - 1, 0)),
            ),
            min_size=len(users),
            max_size=12 if users else 0,
        )
    )
    return Examples(draw(st.text(max_size=8)), draw(st.integers(0, 4000)), spans, users, events)


@given(records())
def test_decode_is_the_inverse_of_encode(record: Examples) -> None:
    """What was taught comes back as it was, event for event and history for history."""
    assert decode_examples(encode_examples(record)) == record


@given(records(), st.data())
def test_a_flipped_bit_is_noticed(record: Examples, data: st.DataObject) -> None:
    """No single flipped bit anywhere gives a record."""
    encoded = bytearray(encode_examples(record))
    bit = data.draw(st.integers(0, 8 * len(encoded) - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptExamplesError):
        decode_examples(bytes(encoded))


@given(records(), st.data())
def test_a_cut_record_is_noticed(record: Examples, data: st.DataObject) -> None:
    """No beginning of a record is a record."""
    encoded = encode_examples(record)
    with pytest.raises(CorruptExamplesError):
        decode_examples(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_named_refusal(junk: bytes) -> None:
    """Bytes with a true magic, version and checksum around junk are refused, never a crash."""
    for body in (junk, zlib.compress(junk)):
        framed = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body
        with pytest.raises(CorruptExamplesError):
            decode_examples(framed)
    with pytest.raises(CorruptExamplesError):
        decode_examples(junk)


def test_another_version_is_named() -> None:
    """A record of a newer version is refused by its number."""
    encoded = encode_examples(Examples("w", 0, {"clicks": (0, 1)}))
    with pytest.raises(CorruptExamplesError, match=f"version {VERSION + 1}"):
        decode_examples(encoded[:3] + bytes([VERSION + 1]) + encoded[4:])


def test_a_user_hash_depends_on_the_group() -> None:
    """The same user has unrelated hashes in two groups, and the same one in every worker of a group."""
    assert user_hash("shop", "u1") == user_hash("shop", "u1")
    assert user_hash("shop", "u1") != user_hash("video", "u1")
    assert user_hash("shop", "u1") != user_hash("shop", "u2")
