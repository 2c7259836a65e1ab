"""What is made to be expensive: decoding takes a bounded memory, whatever the bytes claim to hold."""

import gzip
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import msgspec
import numpy as np
import pytest

from models.checkpoint import CorruptCheckpointError, decode_checkpoint
from state import CorruptState, Exclusions, MemoryStore, Overlay, UserState, decode_next
from state.keys import user_key
from state.user import _HEADER
from streams.events import InteractionDecoder, Refused, decode_item, decode_list
from streams.events.reading import MAXIMUM_BYTES
from streams.examples import (
    UNPACKED_BYTES,
    CorruptExamplesError,
    Examples,
    _Wire,
    decode_examples,
    encode_examples,
)
from tests.fuzz.learned import sealed_checkpoint, sealed_examples
from tests.fuzz.outcome import attempt, soon
from tests.fuzz.users import user, with_checksum
from tests.fuzz.wire import NOW_MS, SOURCES

MEBIBYTE = 2**20
HANGS_SECONDS = 120
REFUSALS = (Refused, CorruptState, CorruptExamplesError, CorruptCheckpointError)


@pytest.fixture(autouse=True)
def _nothing_hangs() -> Iterator[None]:
    with soon(HANGS_SECONDS):
        yield


def peak_bytes(decode: Callable[[], object]) -> int:
    """Return the most memory that a decoder had at once, besides the bytes that it was given."""
    tracemalloc.start()
    try:
        attempt(decode, *REFUSALS)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _filled(
    unit: bytes, start: bytes = b'{"user_id":"u1","item_id":"i1","attributes":[', end: bytes = b"0]}"
) -> bytes:
    return start + unit * ((MAXIMUM_BYTES - len(start) - len(end)) // len(unit)) + end


MESSAGES = {
    "lists in lists": b"[" * MAXIMUM_BYTES,
    "objects in objects": (b'{"a":' * MAXIMUM_BYTES)[:MAXIMUM_BYTES],
    "lists in an unknown field": b'{"user_id":"u1","x":' + b"[" * 500_000 + b"]" * 500_000 + b"}",
    "empty lists": _filled(b"[],"),
    "empty objects": _filled(b"{},"),
    "numbers": _filled(b"1.5,"),
    "what the fast reader leaves to the slow one": _filled(b"{},", start=b'{"x":1e999,"y":['),
    "objects of one field": _filled(b'{"a":{}},', start=b'{"x":1e999,"y":['),
    "different names": b'{"x":1e999' + b"".join(b',"%d":[]' % number for number in range(80_000)) + b"}",
    "a long integer": b'{"user_id":"u1","item_id":' + b"9" * 1_000_000 + b"}",
    "a long fraction": b'{"user_id":"u1","item_id":"i","value":1.' + b"9" * 1_000_000 + b"}",
    "lines": _filled(b'{"sku":"a"},', start=b'{"user_id":"u1","lines":[', end=b'{"sku":"b"}]}'),
    "beyond the limit": b" " * (4 * MAXIMUM_BYTES),
}


@pytest.mark.parametrize("message", MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_takes_a_bounded_memory(message: bytes) -> None:
    """A message of a mebibyte that is built to be expensive costs less than a hundred, in every decoder."""
    decoders: list[Callable[[], object]] = [lambda: decode_item(b"i1", message), lambda: decode_list(message)]
    for source in SOURCES.values():
        decode = InteractionDecoder("topic", source).decode
        decoders.append(lambda decode=decode: decode(b"u1", message, NOW_MS))
    for decode in decoders:
        assert peak_bytes(decode) < 100 * MEBIBYTE


def bomb(kilobytes: int, unit: bytes = b"\0") -> bytes:
    """Return a record of the examples log, sealed, whose columns unpack to so much."""
    packer = zlib.compressobj(9)
    piece = unit * (1024 // len(unit))
    body = b"".join(packer.compress(piece) for _ in range(kilobytes)) + packer.flush()
    return sealed_examples(b"")[:4] + zlib.crc32(body).to_bytes(4, "little") + body


def test_examples_that_unpack_to_gigabytes_are_refused_at_once() -> None:
    """A kilobyte can unpack to a mebibyte: no more is unpacked than a record may have."""
    data = bomb(64 * 1024)
    assert len(data) < MEBIBYTE
    with pytest.raises(CorruptExamplesError, match="does not end within"):
        decode_examples(data)
    assert peak_bytes(lambda: decode_examples(data)) < 4 * UNPACKED_BYTES


def _columns(**changes: object) -> bytes:
    """Return the columns of an empty record but for some of them."""
    body = zlib.decompress(encode_examples(Examples("w", 0))[8:])
    columns = msgspec.msgpack.decode(body)
    for name, value in changes.items():
        columns[_Wire.__struct_fields__.index(name)] = value
    return msgspec.msgpack.encode(columns)


def test_examples_that_fill_their_columns_take_a_bounded_memory() -> None:
    """A quarter of the events that fit, or as many histories or topics, cost a quarter of 200 MiB."""
    events = UNPACKED_BYTES // 4 // 40
    full = _columns(
        topics=["t"],
        spans=[(0, 1)],
        items=bytes(8),
        user_hashes=np.arange(events, dtype="<u8").tobytes(),
        history_lengths=bytes(2 * events),
        users=np.arange(events, dtype="<u4").tobytes(),
        topic_indexes=bytes(events),
        offsets=np.full(events, 1 << 33, "<i8").tobytes(),
        event_items=bytes(4 * events),
        actions=bytes(events),
        times=np.full(events, 1 << 33, "<i8").tobytes(),
        flags=bytes(events),
    )
    hostile = {
        "histories of nobody": _columns(user_hashes=bytes(UNPACKED_BYTES // 8)),
        "topics": _columns(topics=[""] * 300_000),
        "spans": _columns(spans=[(0, 0)] * 300_000),
        "columns that nobody asked for": _columns()[:1] + b"\x91" * (UNPACKED_BYTES - 1),
        "more columns": b"\xdc\xff\xff" + _columns()[3:] + b"\xc0" * 65_000,
    }
    for columns in (full, *hostile.values()):
        data = sealed_examples(columns)
        assert peak_bytes(lambda data=data: decode_examples(data)) < 50 * MEBIBYTE


@pytest.mark.parametrize("code", [b"\xdd", b"\xdf", b"\xc6", b"\xdb"], ids=["array", "map", "bytes", "text"])
def test_lengths_that_are_claimed_are_not_believed(code: bytes) -> None:
    """Columns that claim to have four billion entries cost nothing before these are there."""
    for place in (0, 1, 5, 20):
        columns = _columns()[:place] + code + b"\xff\xff\xff\xff"
        data = sealed_examples(columns)
        assert peak_bytes(lambda data=data: decode_examples(data)) < MEBIBYTE


def test_more_events_than_a_record_takes_are_not_written() -> None:
    """What no worker would read is not written: whoever has so many does them one by one."""
    with pytest.raises(ValueError, match="more than"):
        encode_examples(Examples("w", 0, erased=list(range(UNPACKED_BYTES // 8 + 1))))


def test_a_checkpoint_takes_about_its_own_size() -> None:
    """Lengths and shapes that are claimed, and nested headers, cost nothing."""
    claims = [
        (2**63 - 1).to_bytes(8, "little"),
        (2**40).to_bytes(8, "little") + b"{}",
        _header({"a": {"dtype": "F64", "shape": [2**40, 2**40, 0], "data_offsets": [0, 0]}}),
        _header({"a": {"dtype": "F64", "shape": [2**60], "data_offsets": [0, 0]}}),
        _header({"__metadata__": {"facts": "[" * 100_000}}),
        (200_000).to_bytes(8, "little") + b"[" * 200_000,
    ]
    for body in claims:
        with pytest.raises(CorruptCheckpointError):
            decode_checkpoint(sealed_checkpoint(body))
        assert peak_bytes(lambda body=body: decode_checkpoint(sealed_checkpoint(body))) < 8 * MEBIBYTE


def _header(header: dict[str, object]) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


def test_what_is_remembered_of_users_takes_about_its_own_size() -> None:
    """Numbers of entries, topics and blocks that are claimed cost nothing before these are there."""
    claims = [_HEADER.pack(1, *counts, 0, 0) for counts in ((255, 255, 65535, 65535), (0, 0, 65535, 0))]
    for body in claims:
        with pytest.raises(CorruptState):
            UserState.decode(with_checksum(body))
        assert peak_bytes(lambda body=body: UserState.decode(with_checksum(body))) < MEBIBYTE
    next_offsets = with_checksum(struct.pack("<BH", 1, 65535))
    assert peak_bytes(lambda: decode_next(next_offsets)) < MEBIBYTE
    assert peak_bytes(lambda: Exclusions.load([bytes(1 << 20)])) < 2 * MEBIBYTE


def test_a_user_who_claims_billions_of_exclusions_is_refused() -> None:
    """Blocks are asked for as long as they are there."""
    store = MemoryStore()
    store.write({user_key("u"): user(3, exclusions=2**32 - 1).encode()})
    overlay = Overlay(store)
    with pytest.raises(CorruptState, match="missing"):
        overlay.user("u")
    assert peak_bytes(lambda: overlay.user("u")) < MEBIBYTE


def test_a_claim_within_a_compressed_message_is_not_ours_to_unpack() -> None:
    """A message that its sender compressed by itself is no JSON: nothing here unpacks it."""
    with pytest.raises(Refused):
        decode_item(b"i1", gzip.compress(b"{" * MEBIBYTE))
