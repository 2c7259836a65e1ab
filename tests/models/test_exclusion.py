"""Which rows a user must not be shown."""

import numpy as np

from models.exclusion import ban, empty_banned, is_banned


def test_exactly_what_is_excluded_is_banned() -> None:
    """Among random fingerprints, with collisions of slots, the table says of each what a set says."""
    random = np.random.default_rng(0)
    for count in (0, 1, 50, 400):
        excluded = random.integers(0, 2**32, count, dtype=np.uint32)
        excluded[: count // 2] = (excluded[: count // 2] >> 12) << 12  # these share few slots
        banned = empty_banned(count)
        for _ in range(3):  # what an earlier query excluded does not matter
            ban(banned, random.integers(0, 2**32, 20, dtype=np.uint32))
            ban(banned, excluded)
        asked = np.concatenate([excluded, random.integers(0, 2**32, 500, dtype=np.uint32)])
        known = set(excluded.tolist())
        assert [is_banned(banned, f) for f in asked] == [f in known for f in asked.tolist()]
