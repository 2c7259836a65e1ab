"""The types of arrays that go through compiled code, and the few that all of it is about."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Times = NDArray[np.int64]
Rows = NDArray[np.int32]
Actions = NDArray[np.uint8]

NONE = -1
"""Stands for no row, entity, value or text, where one could be."""
