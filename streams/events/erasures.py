"""Erasures on the wire: that a user is to be forgotten, and the receipt that says it was done."""

import msgspec

from streams.events.reading import UNREADABLE, text_of
from streams.events.refusal import Refused, shown
from streams.events.values import ID_BYTES

_ITS_KEY = f"the user id, text of 1 to {ID_BYTES} bytes"


class Erasure(msgspec.Struct, frozen=True, gc=False):
    """Everything known of a user is to be forgotten; `request_id` is handed back in the receipt."""

    user_id: str
    request_id: str | None = None


class Receipt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=1):
    """A user was forgotten. Times are milliseconds since the epoch, positions (partition, offset).

    `requested_at` is the erasure's record timestamp: what was recorded before it is dropped. `positions` has
    the erasure itself, and for each source the last offset that had been applied.
    """

    user_id: str
    requested_at: int
    erased_at: int
    was_known: bool
    positions: dict[str, tuple[int, int]]
    request_id: str | None = None


class _Message(msgspec.Struct, frozen=True):
    user_id: str | None = None
    request_id: str | None = None


_read = msgspec.json.Decoder(_Message).decode
_encode = msgspec.json.Encoder().encode
_read_receipt = msgspec.json.Decoder(Receipt).decode


def decode_erasure(key: bytes | None, value: bytes | None) -> Erasure:
    """Read an erasure: its key is the user id, its value null or an object that may have a `request_id`.

    Raises Refused, whose reason names what is wrong.
    """
    try:
        user_id = (key or b"").decode()
    except UnicodeDecodeError:
        raise Refused("key", f"key: expected {_ITS_KEY}, found other bytes than UTF-8") from None
    if key is None or not 0 < len(key) <= ID_BYTES:
        raise Refused("key", f"key: expected {_ITS_KEY}, found {'no key' if key is None else len(key)}")
    if value is None:
        return Erasure(user_id)
    try:
        message = _read(text_of(value))
    except UNREADABLE as error:
        raise Refused(
            "json", f"json: expected an object with user_id, request_id or neither: {error}"
        ) from None
    if message.user_id not in (None, user_id):
        raise Refused("key", f"key: expected the text of the user id {shown(message.user_id)}")
    if len((message.request_id or "").encode()) > ID_BYTES:
        raise Refused("request_id", f"request_id: expected at most {ID_BYTES} bytes")
    return Erasure(user_id, message.request_id)


def encode_erasure(erasure: Erasure) -> bytes:
    """Return the message of an erasure; its key is the user id."""
    return _encode(erasure)


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the message of a receipt; its key is the user id."""
    return _encode(receipt)


def decode_receipt(value: bytes) -> Receipt:
    """Read a receipt; raises msgspec.DecodeError for what is none."""
    return _read_receipt(value)
