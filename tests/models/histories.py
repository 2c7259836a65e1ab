"""Histories for the tests of the models."""

import numpy as np

from models.baselines import rank_baselines
from models.catalog import Catalog
from models.counts import Counts
from models.exclusion import empty_banned
from models.history import History
from models.prequential import BASELINES

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


def baseline_ranks(catalog: Catalog, counts: Counts, asked: History, row: int) -> dict[str, int | None]:
    """Return the rank of an item by every baseline."""
    counts.reserve()
    ranks, items = np.zeros(len(BASELINES), np.int64), catalog.items(len(asked.excluded) > 0)
    rank_baselines(counts.tables, empty_banned(len(asked.excluded)), items, asked, row, ranks)
    return dict(zip(BASELINES, (rank or None for rank in ranks.tolist()), strict=True))
