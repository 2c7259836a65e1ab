"""The bytes of a UserState: everything comes back, and nothing else is taken for a state."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import CorruptState, UserState
from state.history import UserHistory

inserts = st.fixed_dictionaries(
    {
        "item_key": st.integers(0, 2**64 - 1),
        "action_code": st.integers(0, 255),
        "time_ms": st.integers(0, 2**63 - 1),
        "topic": st.sampled_from(["a", "clicks", "é"]),
        "offset": st.integers(0, 2**63 - 1),
        "line": st.integers(0, 2**16 - 1),
        "event_id": st.none() | st.text(max_size=5),
    }
)


@st.composite
def users(draw: st.DrawFn) -> UserState:
    """Users of all kinds."""
    user = UserState()
    for arguments in draw(st.lists(inserts, max_size=12)):
        user.insert(**arguments, history_length=8)
    user.exclusion_count = draw(st.integers(0, 2**32 - 1))
    return user


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def _facts(user: UserState) -> list[object]:
    return [getattr(user, name) for name in UserHistory.__slots__]


@given(users(), inserts)
def test_a_state_comes_back(user: UserState, arguments: dict[str, object]) -> None:
    """Decoding gives back every fact, and the decoded user goes on like the encoded one."""
    again = UserState.decode(user.encode())
    assert _facts(again) == _facts(user)
    assert again.encode() == user.encode()
    assert again.insert(**arguments, history_length=8) == user.insert(**arguments, history_length=8)  # type: ignore[arg-type]
    assert again == user


@given(users(), st.data())
def test_damaged_bytes_are_refused(user: UserState, data: st.DataObject) -> None:
    """One changed byte, a cut or an extra byte raises CorruptState, and nothing else."""
    encoded = bytearray(user.encode())
    place = data.draw(st.integers(0, len(encoded) - 1))
    for damaged in (encoded[:place], encoded + b"\0"):
        with pytest.raises(CorruptState):
            UserState.decode(bytes(damaged))
    encoded[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptState):
        UserState.decode(bytes(encoded))


@given(users(), st.data())
def test_forged_bytes_are_refused_or_canonical(user: UserState, data: st.DataObject) -> None:
    """Changed, cut or longer bytes with a right checksum are refused, or say what is written like them."""
    body = bytearray(user.encode()[:-4])
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))] + data.draw(st.binary(max_size=9))
    try:
        decoded = UserState.decode(_sealed(bytes(body)))
    except CorruptState:
        return
    assert decoded.encode() == _sealed(bytes(body))
    assert list(decoded.times_ms) == sorted(decoded.times_ms)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(body: bytes) -> None:
    """Bytes that nobody encoded never crash, whether or not version and checksum are right."""
    for data in (body, _sealed(body), _sealed(b"\x01" + body)):
        try:
            decoded = UserState.decode(data)
        except CorruptState:
            continue
        assert decoded.encode() == data


def test_another_version_is_named() -> None:
    """Bytes of another version say which version they are and which one is read."""
    with pytest.raises(CorruptState, match="version 9; this Freshet reads version 1"):
        UserState.decode(b"\x09" + UserState().encode()[1:])


def test_an_empty_user_is_small() -> None:
    """A user without events takes a few bytes, and comes back without events."""
    assert len(UserState().encode()) < 32
    assert len(UserState.decode(UserState().encode())) == 0


def test_a_full_user_is_three_kilobytes() -> None:
    """A sequence of 50 and 64 repeats take 28 and 24 bytes an entry, whatever the user has done."""
    user = UserState()
    for number in range(1000):
        user.insert(
            item_key=number,
            action_code=0,
            time_ms=number,
            topic="clicks",
            offset=number,
            line=0,
            event_id=None,
            history_length=50,
        )
    assert len(user.encode()) < 50 * 28 + 64 * 24 + 64
