"""What the streams teach at once: counts that are fresh at every event."""

from models.counts.counts import Counts
from models.counts.layout import HALF_LIVES, LOOK_BACK

__all__ = ["HALF_LIVES", "LOOK_BACK", "Counts"]
