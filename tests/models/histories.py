"""Histories for the tests of the models."""

import numpy as np

from models.history import History

NOW_MS = 1_700_000_000_000


def history(
    rows: list[int] | None = None,
    excluded: list[int] | None = None,
    gap_ms: int = 1000,
    now_ms: int = NOW_MS,
    actions: list[int] | None = None,
) -> History:
    """Return a history of these rows, the last one `gap_ms` ago, `gap_ms` apart; each row a repeat.

    Unless `actions` are given, all are clicks.
    """
    rows = rows or []
    times = now_ms - gap_ms * np.arange(len(rows), 0, -1, dtype=np.int64)
    distinct = sorted({row for row in rows if row >= 0})
    last = [times[len(rows) - 1 - rows[::-1].index(row)] for row in distinct]
    return History(
        rows=np.array(rows, np.int32),
        actions=np.frombuffer(bytes(actions or len(rows)), np.uint8),
        times_ms=times,
        repeat_rows=np.array(distinct, np.int32),
        repeat_counts=np.array([float(rows.count(row)) for row in distinct], np.float64),
        repeat_times_ms=np.array(last, np.int64),
        excluded=np.frombuffer(np.array(excluded or [], np.uint32).tobytes(), np.uint32),
    )
