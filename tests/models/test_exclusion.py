"""Exclusion by fingerprints."""

import numpy as np

from models.catalog import Catalog
from models.exclusion import ExclusionFilter


def test_answers_are_those_of_a_set_whatever_was_asked_before() -> None:
    """Thousands of questions about different users are answered as a set would, some long, some empty."""
    catalog, random = Catalog(), np.random.default_rng(1)
    for number in range(5000):
        catalog.admit(f"i{number}")
    exclusions = ExclusionFilter(catalog)
    for count in (0, 1, 3000, 50, 700, *random.integers(0, 40, 300).tolist()):
        excluded = random.choice(catalog.fingerprints, count, replace=False)
        rows = random.integers(0, 5000, 200).astype(np.int32)
        expected = [int(catalog.fingerprints[row]) in set(excluded.tolist()) for row in rows]
        assert exclusions.is_excluded(rows, excluded).tolist() == expected


def test_fingerprints_that_share_a_slot_are_told_apart() -> None:
    """Excluding two items whose fingerprints end alike excludes both, and not a third that ends so, too."""
    catalog = Catalog()
    for number in range(3):
        catalog.admit_key((number << 16) | 5, f"i{number}")
    rows = np.arange(3, dtype=np.int32)
    excluded = catalog.fingerprints[:2]
    assert ExclusionFilter(catalog).is_excluded(rows, excluded).tolist() == [True, True, False]
