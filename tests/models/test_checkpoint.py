"""Checkpoint files: whole or not at all, and damage is noticed."""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.checkpoint import (
    KEPT,
    MAGIC,
    VERSION,
    CheckpointFolder,
    CorruptCheckpointError,
    NewerCheckpointError,
    decode_checkpoint,
    encode_checkpoint,
)

ARRAYS = {
    "levels": np.arange(12.0).reshape(3, 4),
    "ids": np.array([1, 2**63], np.uint64),
    "none": np.zeros(0),
}
FACTS = {"marks": [["clicks", 3, 17]], "steps": 4}


def newer(data: bytes) -> bytes:
    """Return the bytes of a checkpoint with a version that is not known yet."""
    return data[: len(MAGIC)] + (VERSION + 1).to_bytes(4, "little") + data[len(MAGIC) + 4 :]


def test_decode_is_the_inverse_of_encode() -> None:
    """Arrays come back with their types and shapes, facts with their values."""
    arrays, facts = decode_checkpoint(encode_checkpoint(ARRAYS, FACTS))
    assert facts == FACTS
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert np.array_equal(arrays[name], array)


def test_a_flipped_bit_is_noticed() -> None:
    """No single flipped bit gives a checkpoint, whichever of them it is."""
    whole = encode_checkpoint(ARRAYS, FACTS)
    for bit in range(8 * len(whole)):
        encoded = bytearray(whole)
        encoded[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptCheckpointError, NewerCheckpointError)):
            decode_checkpoint(bytes(encoded))


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_no_checkpoint(junk: bytes) -> None:
    """Junk, with or without a true header, is refused by name."""
    for data in (junk, encode_checkpoint(ARRAYS, FACTS)[:28] + junk):
        with pytest.raises(CorruptCheckpointError):
            decode_checkpoint(data)


def test_the_last_three_are_kept(tmp_path: Path) -> None:
    """Older checkpoints than the last three go, and what an interrupted write left, too."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    assert folder.newest() is None
    for steps in range(5):
        folder.write(encode_checkpoint(ARRAYS, {"steps": steps}))
        (folder.directory / "000000000099.part").write_bytes(b"half")
    folder.write(encode_checkpoint(ARRAYS, {"steps": 5}))
    assert len(list(folder.directory.iterdir())) == KEPT
    found = folder.newest()
    assert found is not None
    assert found[2] == {"steps": 5}


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1] + b"\x00", lambda _: b""]
)
def test_a_damaged_one_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
) -> None:
    """A checkpoint that was cut or altered is passed over with a warning that names it."""
    folder = CheckpointFolder(tmp_path)
    folder.write(encode_checkpoint(ARRAYS, {"steps": 1}))
    last = folder.write(encode_checkpoint(ARRAYS, {"steps": 2}))
    last.write_bytes(damage(last.read_bytes()))  # type: ignore[operator]
    with caplog.at_level(logging.WARNING):
        found = folder.newest()
    assert found is not None
    assert found[2] == {"steps": 1}
    assert str(last) in caplog.text


def test_a_newer_version_is_refused_by_name(tmp_path: Path) -> None:
    """A checkpoint of a newer version is not passed over: the message says which file and version."""
    folder = CheckpointFolder(tmp_path)
    folder.write(encode_checkpoint(ARRAYS, {"steps": 1}))
    file = folder.write(newer(encode_checkpoint(ARRAYS, {"steps": 2})))
    with pytest.raises(NewerCheckpointError, match=f"{file.name} is of version {VERSION + 1}"):
        folder.newest()
