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
    """Candidates: the user's own items. Features: zero for every other item; `had` tells the two apart."""

    features = (
        Feature("had"),
        Feature("log recency", reason=RECENT),
        Feature("had last"),
        Feature("log count", reason=COMES_BACK),
        Feature("log decayed count", reason=COMES_BACK),
        Feature("log elapsed", reason=RECENT),
        Feature("log followed", reason=COMES_BACK),
        Feature("habit", reason=COMES_BACK),
    )

    def candidates(self, history: History) -> RowArray:
        """Return what the user did last, and what they come back to, as far as it is known here."""
        rows = np.concatenate([history.rows, history.repeat_rows])
        return rows[rows >= 0]

    def describe(self, candidates: Candidates, history: History, now_ms: int, out: FeatureArray) -> None:
        """Write what each of the user's own items was to them, float32[8, C]."""
        size = len(candidates.rows)
        places, is_there = _placed(candidates, history.rows)
        repeat_places, is_repeat_there = _placed(candidates, history.repeat_rows)
        times_ms = np.full(size, -1, np.int64)  # -1: not an own item
        times_ms[repeat_places] = history.repeat_times_ms[is_repeat_there]
        times_ms[places] = history.times_ms[is_there]  # the newest is written last
        own = np.flatnonzero(times_ms >= 0)  # [own]
        if not len(own):
            return
        ages = np.arange(len(history.rows), 0, -1)[is_there]
        counts = np.bincount(places, minlength=size)[own]
        decayed = np.zeros(size)
        decayed[repeat_places] = history.repeat_counts[is_repeat_there]
        out[0, own] = 1.0
        out[1, own] = np.log(np.bincount(places, 1.0 / ages, size)[own] + _NO_RECENCY)
        out[3, own] = np.log1p(counts)
        out[4, own] = np.log(decayed[own] + _NO_COUNT)
        out[5, own] = np.log1p(np.maximum(now_ms - times_ms[own], 0) / 1000.0) * _ELAPSED_SCALE
        out[7, own] = _habit(len(history.rows), int(np.count_nonzero(counts)))
        self._describe_last(candidates, history.rows, out)

    def _describe_last(self, candidates: Candidates, rows: RowArray, out: FeatureArray) -> None:
        """Write which item was the last, and how often each came after an earlier occurrence of it."""
        if not len(rows) or rows[-1] < 0:
            return
        place = candidates.places(rows[-1:])
        out[2, place[place >= 0]] = 1.0
        after = np.flatnonzero(rows[:-1] == rows[-1]) + 1
        if len(after):
            followers, _ = _placed(candidates, rows[after])
            out[6] = np.log1p(np.bincount(followers, minlength=len(candidates.rows)))

    def claims(self, row: int, values: FeatureArray) -> set[str]:
        """Comes back: at least twice among the user's last events. Recent: at least once."""
        claims = set()
        if values[3] > 0:
            claims.add(RECENT)
        if values[3] >= _TWICE:
            claims.add(COMES_BACK)
        return claims


def _placed(candidates: Candidates, rows: RowArray) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Return the places of those rows that are candidates, and a mask of which rows these are."""
    places = candidates.places(rows)
    # -1, an unknown item, would be read as the last row: what is unknown is no candidate.
    is_there = (places >= 0) & (rows >= 0)
    return places[is_there], is_there


def _habit(events: int, items: int) -> float:
    """Return the log-odds that an event of this user was one of an item that they had had before."""
    return float(np.log((max(events - items, 0) + 0.5) / (items + 0.5)))
