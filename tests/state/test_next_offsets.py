"""The next offsets of a partition's topics, and their bytes."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import CorruptState, MemoryStore, decode_next, encode_next, read_next
from state.keys import NEXT_KEY

next_offsets = st.dictionaries(st.text(min_size=1, max_size=20), st.integers(0, 2**63 - 1), max_size=5)


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@given(next_offsets)
def test_they_come_back(offsets: dict[str, int]) -> None:
    """What was written is read, whatever the topics; the order of the topics does not show in the bytes."""
    store = MemoryStore()
    store.write({NEXT_KEY: encode_next(offsets)})
    assert read_next(store) == offsets
    assert encode_next(dict(reversed(offsets.items()))) == encode_next(offsets)


def test_a_new_store_has_none() -> None:
    """A store that nothing was written to has no next offsets."""
    assert read_next(MemoryStore()) == {}


@given(next_offsets, st.data())
def test_damaged_bytes_are_refused(offsets: dict[str, int], data: st.DataObject) -> None:
    """One changed byte, or a cut, raises CorruptState."""
    encoded = bytearray(encode_next(offsets))
    place = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CorruptState):
        decode_next(bytes(encoded[:place]))
    encoded[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptState):
        decode_next(bytes(encoded))


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_canonical(body: bytes) -> None:
    """Bytes with a right checksum are refused with CorruptState, or are what their meaning is written as."""
    for sealed in (_sealed(body), _sealed(b"\x01" + body)):
        try:
            offsets = decode_next(sealed)
        except CorruptState:
            continue
        assert encode_next(offsets) == sealed


def test_another_version_is_named() -> None:
    """Bytes of another version say which version they are and which one is read."""
    with pytest.raises(CorruptState, match="version 9; this Freshet reads version 1"):
        decode_next(b"\x09" + encode_next({})[1:])
