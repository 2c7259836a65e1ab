"""The catalogue: ids, keys, rows."""

from hashlib import blake2b

import numpy as np
import pytest

from models.catalog import Catalog, KeyCollision, item_key


def test_keys_are_the_same_in_every_process() -> None:
    """A key is the item id's 64-bit blake2b and nothing of this process, so histories can move."""
    assert item_key("i1") == int.from_bytes(blake2b(b"i1", digest_size=8).digest(), "little")
    assert item_key("i1") < 2**64
    assert item_key("ä") != item_key("a")


def test_rows_stay_while_the_catalogue_grows() -> None:
    """Admitting thousands of items moves no earlier row, key, id or fingerprint."""
    catalog = Catalog()
    ids = [f"item {number}" for number in range(5000)]
    rows = [catalog.admit(item_id) for item_id in ids]
    assert rows == list(range(5000)) == [catalog.admit(item_id) for item_id in ids]
    assert [catalog.item_id(row) for row in rows] == ids
    assert [catalog.key(row) for row in rows] == [item_key(item_id) for item_id in ids]
    assert catalog.fingerprints.tolist() == [item_key(item_id) & 0xFFFFFFFF for item_id in ids]
    assert len(catalog) == len(catalog.keys) == 5000


def test_unknown_keys_have_no_row() -> None:
    """A key that was never admitted is -1, alone and among others."""
    catalog = Catalog()
    catalog.admit("a")
    catalog.admit("b")
    keys = np.array([item_key("b"), item_key("nobody"), item_key("a")], np.uint64)
    assert catalog.rows(keys).tolist() == [1, -1, 0]
    assert catalog.rows(keys).dtype == np.int32
    assert catalog.rows(keys[:0]).shape == (0,)
    assert catalog.row(item_key("nobody")) == -1


def test_two_ids_of_one_key_are_refused() -> None:
    """An id whose key belongs to another id is refused by name, and the first keeps its row."""
    catalog = Catalog()
    row = catalog.admit_key(7, "first")
    with pytest.raises(KeyCollision, match="'first' and 'second'"):
        catalog.admit_key(7, "second")
    assert catalog.admit_key(7, "first") == row == catalog.row(7)
