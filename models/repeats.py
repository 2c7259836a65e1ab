"""The source of what a user comes back to: the items of their own past, described by how they had them."""

import numpy as np
from numpy.typing import NDArray

from models.catalog import RowArray
from models.counts import FeatureArray
from models.sources import Candidates, Feature, History

COMES_BACK = "you come back to it"
RECENT = "you had it recently"
# Added to sums before their logarithm: less than any sum of an item in the sequence.
_NO_RECENCY = 0.005
_NO_COUNT = 0.1
_ELAPSED_SCALE = 0.1
_TWICE = np.float32(np.log1p(2))


class Repeats:
    """Candidates: the user's own items. Features: zero for every other item; `had` tells the two apart.

    The initial weights expect that people come back, most of all to what they had last and often: where that
    is wrong, some hundred events say so.
    """

    features = (
        Feature("had", 4.0),
        Feature("log recency", 0.5, RECENT),
        Feature("had last"),
        Feature("log count", reason=COMES_BACK),
        Feature("log decayed count", 0.3, COMES_BACK),
        Feature("log elapsed", -1.5, RECENT),
        Feature("log followed", reason=COMES_BACK),
        Feature("habit", reason=COMES_BACK),
    )

    def candidates(self, history: History) -> RowArray:
        """Return what the user did last, and what they come back to, as far as it is known here."""
        rows = np.concatenate([history.rows, history.repeat_rows])
        known: RowArray = rows[rows >= 0]
        return known

    def describe(self, candidates: Candidates, history: History, now_ms: int, out: FeatureArray) -> None:
        """Write what each of the user's own items was to them, float32[8, C]."""
        length, size = len(history.rows), len(candidates.rows)
        rows = np.concatenate([history.rows, history.repeat_rows])
        places = candidates.places(rows)  # [n + m]
        places[rows < 0] = -1
        sequence, repeats = places[:length], places[length:]
        is_there, is_repeat_there = sequence >= 0, repeats >= 0
        there, repeats_there = sequence[is_there], repeats[is_repeat_there]
        times_ms = np.full(size, -1, np.int64)  # -1: not an own item
        times_ms[repeats_there] = history.repeat_times_ms[is_repeat_there]
        times_ms[there] = history.times_ms[is_there]  # the newest is written last
        own = (times_ms >= 0).nonzero()[0]  # [own]
        if not len(own):
            return
        counts = np.bincount(there, minlength=size)[own]
        recency = np.bincount(there, 1.0 / np.arange(length, 0, -1)[is_there], size)[own]
        decayed = np.zeros(size)
        decayed[repeats_there] = history.repeat_counts[is_repeat_there]
        out[0, own] = 1.0
        out[1, own] = np.log(recency + _NO_RECENCY)
        out[3, own] = np.log1p(counts)
        out[4, own] = np.log(decayed[own] + _NO_COUNT)
        out[5, own] = np.log1p(np.maximum(now_ms - times_ms[own], 0) / 1000.0) * _ELAPSED_SCALE
        out[7, own] = _habit(length, int(np.count_nonzero(counts)))
        if length and history.rows[-1] >= 0:
            _describe_last(history.rows, sequence, out)

    def claims(self, row: int, values: FeatureArray) -> set[str]:
        """Comes back: at least twice among the user's last events. Recent: at least once."""
        claims = set()
        if values[3] > 0:
            claims.add(RECENT)
        if values[3] >= _TWICE:
            claims.add(COMES_BACK)
        return claims


def _describe_last(rows: RowArray, places: NDArray[np.int32], out: FeatureArray) -> None:
    """Write which item was the last, and how often each came right after an earlier occurrence of it."""
    if places[-1] >= 0:
        out[2, places[-1]] = 1.0
    followers = places[1:][rows[:-1] == rows[-1]]
    if len(followers):
        followers = followers[followers >= 0]
        out[6] = np.log1p(np.bincount(followers, minlength=out.shape[1]))


def _habit(events: int, items: int) -> float:
    """Return the log-odds that an event of this user was one of an item that they had had before."""
    return float(np.log((max(events - items, 0) + 0.5) / (items + 0.5)))
