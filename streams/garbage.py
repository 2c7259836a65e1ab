"""How often Python looks for garbage that refers to itself: seldom, and never among what stays."""

import atexit
import gc

ALLOCATIONS = 10_000
"""It looks once there are so many new objects. A step makes thousands, and hardly any such garbage."""


def collect_seldom() -> None:
    """Leave all that is there now, a million objects of libraries, out of every collection to come."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS)
    atexit.register(gc.unfreeze)  # extensions look for what they leaked, when all else has gone
