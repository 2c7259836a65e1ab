"""Histories for the tests of the models."""

import numpy as np

from models.sources import History

NOW_MS = 1_700_000_000_000


def history(rows: list[int] | None = None, excluded: list[int] | None = None, gap_ms: int = 1000) -> History:
    """Return a history of these rows, the last one `gap_ms` ago, `gap_ms` apart; each row a repeat."""
    rows = rows or []
    times = NOW_MS - gap_ms * np.arange(len(rows), 0, -1, dtype=np.int64)
    distinct = sorted({row for row in rows if row >= 0})
    return History(
        rows=np.array(rows, np.int32),
        actions=np.zeros(len(rows), np.uint8),
        times_ms=times,
        repeat_rows=np.array(distinct, np.int32),
        repeat_counts=np.array([float(rows.count(row)) for row in distinct]),
        repeat_times_ms=np.array(
            [times[len(rows) - 1 - rows[::-1].index(row)] for row in distinct], np.int64
        ),
        excluded=np.array(excluded or [], np.uint32),
    )
