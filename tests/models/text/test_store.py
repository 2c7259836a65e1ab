"""Vectors on disk: found again by the next process, whatever the last one left half done."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.text import VectorStore, text_hash
from models.text import store as store_module

DIMENSIONS = 6
HASHES = [text_hash(f"text {number}") for number in range(40)]


def vectors_of(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Return float32[count, DIMENSIONS] that float16 can tell exactly."""
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)).astype(np.float16).astype(np.float32)


def opened(directory: Path, name: str = "encoder", dimensions: int = DIMENSIONS) -> VectorStore:
    """Return the store of an encoder."""
    return VectorStore(directory, name, dimensions)


def filled(directory: Path) -> Path:
    """Return the file of a store that holds all HASHES and was closed."""
    store = opened(directory)
    store.put(HASHES, vectors_of(len(HASHES)))
    store.close()
    return store.file


def test_what_was_put_is_found(tmp_path: Path) -> None:
    """Vectors are found in any order, at once and by the next process; others are not known and zeros."""
    store = opened(tmp_path / "new" / "folder")
    vectors = vectors_of(len(HASHES))
    store.put(HASHES[:30], vectors[:30])
    store.put(HASHES[30:], vectors[30:])
    for reader in (store, opened(tmp_path / "new" / "folder")):
        found, known = reader.get([HASHES[33], b"\0" * 16, HASHES[2]])
        assert known.tolist() == [True, False, True]
        assert np.array_equal(found, [vectors[33], np.zeros(DIMENSIONS), vectors[2]])
        assert len(reader) == len(HASHES)


def test_other_encoders_have_other_files(tmp_path: Path) -> None:
    """What one encoder made is never another's, also where names differ by what no file can be called."""
    store = opened(tmp_path, "model/a")
    store.put(HASHES, vectors_of(len(HASHES)))
    for name in ("model/b", "model a", "model-a"):
        assert not opened(tmp_path, name).get(HASHES)[1].any()
    assert opened(tmp_path, "model/a").get(HASHES)[1].all()


@pytest.mark.parametrize("cut", [1, 13, 31])
def test_a_torn_tail_is_cut_off(tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int) -> None:
    """A half written record is missing, all others are there, and the next one is put in its place."""
    file = filled(tmp_path)
    os.truncate(file, file.stat().st_size - cut)
    with caplog.at_level(logging.WARNING):
        store = opened(tmp_path)
    assert "half written" in caplog.text
    assert store.get(HASHES)[1].tolist() == [True] * 39 + [False]
    store.put(HASHES[39:], vectors_of(1, seed=2))
    found, known = opened(tmp_path).get(HASHES)
    assert known.all()
    assert np.array_equal(found[38:], [vectors_of(40)[38], vectors_of(1, seed=2)[0]])


def test_a_damaged_vector_is_made_again(tmp_path: Path) -> None:
    """A flipped bit makes one vector unknown, and a new one takes its place; no other is lost."""
    file = filled(tmp_path)
    data = bytearray(file.read_bytes())
    data[-5] ^= 4
    file.write_bytes(data)
    store = opened(tmp_path)
    assert store.get(HASHES)[1].tolist() == [True] * 39 + [False]
    store.put(HASHES[39:], vectors_of(1))
    assert store.get(HASHES)[1].all()
    assert opened(tmp_path).get(HASHES)[1].all()


@pytest.mark.parametrize("header", [b"", b"FRTEXTS", b"FRTEXTS\n\x09" + bytes(100), bytes(1000)])
def test_a_file_of_another_version_is_begun_anew(tmp_path: Path, header: bytes) -> None:
    """What cannot be read is no reason not to start: vectors can be made again."""
    file = filled(tmp_path)
    file.write_bytes(header)
    store = opened(tmp_path)
    assert len(store) == 0
    store.put(HASHES, vectors_of(len(HASHES)))
    assert opened(tmp_path).get(HASHES)[1].all()


def test_a_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with more than the most vectors keeps its newer half when it is opened again."""
    file = filled(tmp_path)
    before = file.stat().st_size
    monkeypatch.setattr(store_module, "MOST", 40)
    assert opened(tmp_path).get(HASHES)[1].all()
    monkeypatch.setattr(store_module, "MOST", 39)
    store = opened(tmp_path)
    found, known = store.get(HASHES)
    assert known.tolist() == [False] * 20 + [True] * 20
    assert np.array_equal(found[20:], vectors_of(40)[20:])
    assert file.stat().st_size < before
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_does_not_grow_while_it_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the most vectors a put goes on with the newer half, or, on a full disk, with all."""
    monkeypatch.setattr(store_module, "MOST", 8)
    store, vectors = opened(tmp_path), vectors_of(len(HASHES))
    sizes = []
    for start in range(0, 36, 3):
        store.put(HASHES[start : start + 3], vectors[start : start + 3])
        sizes.append(len(store))
        assert store.get(HASHES[start : start + 3])[1].all()
    assert sizes[:6] == [3, 6, 9, 8, 11, 9]
    assert max(sizes) <= 8 + 3
    assert sizes[-1] == 9  # the next put will halve it
    replace = Path.replace

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        store.put(HASHES[37:38], vectors[37:38])
    assert store.get(HASHES[35:38])[1].tolist() == [True, False, False]
    assert len(store) == 9
    assert list(tmp_path.iterdir()) == [store.file]
    monkeypatch.setattr(Path, "replace", replace)
    store.put(HASHES[37:38], vectors[37:38])
    for reader in (store, opened(tmp_path)):
        found, known = reader.get(HASHES)
        assert np.array_equal(found[known], vectors[known])
        assert known[35]
        assert known[37]


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    """Each finds what it put itself, and a third one all of it."""
    stores = [opened(tmp_path), opened(tmp_path)]
    vectors = vectors_of(len(HASHES))
    for number, text in enumerate(HASHES):
        stores[number % 2].put([text], vectors[number : number + 1])
    assert np.array_equal(stores[1].get(HASHES[1::2])[0], vectors[1::2])
    found, known = opened(tmp_path).get(HASHES)
    assert known.all()
    assert np.array_equal(found, vectors)


def test_a_full_disk_leaves_whole_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the disk took in part is an error, and leaves nothing of itself."""
    store = opened(tmp_path)
    store.put(HASHES[:1], vectors_of(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space left"):
        store.put(HASHES[1:4], vectors_of(3))
    monkeypatch.undo()
    store.put(HASHES[4:5], vectors_of(1))
    assert opened(tmp_path).get(HASHES[:5])[1].tolist() == [True, False, False, False, True]
