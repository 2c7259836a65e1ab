"""How fast lists recover from an abrupt drift, and how much is still known of interests that come back.

python -m benchmarks.continual [--events N] [--users N] [--items N] [--seeds 1 2 3] [--effort full]

Both on logs of the simulated shop, whose drift is known; NDCG@10, the mean of all seeds.

Drift: nobody's interests change but at one hour, in the middle, at which everybody's are replaced, and with
them brands, habits, and the appeal of every item. The level is that of the last 4,000 events before. Recovery
is the number of events after the drift from which on 1,000 events are at 90 % of it again; `from nothing` is
the same at the beginning of the log.

Seasons: four, each with topics of its own, twice around. Of the three that begin when the weights are no
longer new, the first 500 events of the first appearance are compared with the last fifth of it and with the
first 500 when they come back. back / first above 1 is memory; back / end is how much is there at once.
"""

import argparse
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.prequential import BASELINES
from streams.evaluation import Variant, evaluate_log
from streams.events import Interaction
from streams.scoreboard import SCORER
from streams.settings import Settings, load_settings
from streams.shop import OPENING_MS, Almanac, Shop

SCORERS = (SCORER, *BASELINES)
VARIANTS: tuple[Variant, ...] = ("all", "new")
HOUR_MS = 3_600_000
SEASONS = 4
WINDOW, FIRST_EVENTS, LEVEL_EVENTS = 1000, 500, 4000
RECOVERED = 0.9
Curve = NDArray[np.float64]  # float64[events], what each scored event adds to NDCG@10; nan: not scored
Row = dict[str, float | None]


@dataclass(frozen=True)
class Size:
    """How large the shop is, and its log."""

    users: int
    items: int
    events: int

    def log(self, seed: int, almanac: Almanac) -> list[Interaction]:
        """Return the log of a shop in which nobody drifts but by the almanac."""
        return list(islice(Shop(seed, self.users, self.items, drift=0.0, almanac=almanac), self.events))

    def hours(self, seed: int) -> float:
        """Return how many hours of the shop such a log is long."""
        return (self.log(seed, Almanac())[-1].timestamp_ms - OPENING_MS) / HOUR_MS


def main() -> None:
    """Print all tables as Markdown."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--effort", choices=("full", "half", "low"), default="full")
    arguments = parser.parse_args()
    size = Size(arguments.users, arguments.items, arguments.events)
    settings = msgspec.structs.replace(load_settings(environment={}), effort=arguments.effort)
    for variant in VARIANTS:
        print_table(f"drift, {variant}", drift(size, arguments.seeds, settings, variant))
        print_table(f"seasons, {variant}", seasons(size, arguments.seeds, settings, variant))


def print_table(title: str, rows: dict[str, Row]) -> None:
    """Print a row for each scorer."""
    columns = list(rows[SCORER])
    print(f"\n| {title} | {' | '.join(columns)} |\n| --- |{' --- |' * len(columns)}")
    for scorer, row in rows.items():
        print(f"| {scorer.replace('_', ' ')} | {' | '.join(map(told, row.values()))} |", flush=True)


def told(value: float | None) -> str:
    """Return a cell: a share, a number of events, or that it never came to be."""
    if value is None:
        return "never"
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def drift(size: Size, seeds: Sequence[int], settings: Settings, variant: Variant) -> dict[str, Row]:
    """Return scorer -> what an upheaval in the middle of the log costs it."""
    curves: dict[str, list[tuple[Curve, Curve]]] = {scorer: [] for scorer in SCORERS}
    for seed in seeds:
        hour = size.hours(seed) / 2
        log = size.log(seed, Almanac(upheaval_hours=(hour,)))
        (turn,) = places(log, [hour])
        for scorer, curve in curves_of(log, settings, seed, variant).items():
            curves[scorer].append((curve[:turn], curve[turn:]))
    rows: dict[str, Row] = {}
    for scorer, each in curves.items():
        level = mean(before[-LEVEL_EVENTS:] for before, _ in each)
        rows[scorer] = {
            "level before": level,
            "left in the next 500": mean(after[:FIRST_EVENTS] for _, after in each) / level,
            "recovery, events": recovery([after for _, after in each], level),
            "from nothing, events": recovery([before for before, _ in each], level),
            "level at the end": mean(after[-LEVEL_EVENTS:] for _, after in each),
        }
    return rows


def recovery(curves: Sequence[Curve], level: float) -> int | None:
    """Return from which event on WINDOW events are at RECOVERED of the level, in all curves together."""
    length = min(map(len, curves))
    all_of_them = np.stack([curve[:length] for curve in curves])  # [seeds, events]
    gains = np.cumsum(np.nansum(all_of_them, axis=0))  # [events]
    scored = np.cumsum(np.sum(~np.isnan(all_of_them), axis=0))  # [events]
    means = (gains[WINDOW:] - gains[:-WINDOW]) / (scored[WINDOW:] - scored[:-WINDOW])
    there = np.flatnonzero(means >= RECOVERED * level)
    return int(there[0]) if len(there) else None


def seasons(size: Size, seeds: Sequence[int], settings: Settings, variant: Variant) -> dict[str, Row]:
    """Return scorer -> how well it knows a season at first, at its end, and when it comes back."""
    parts: dict[str, list[tuple[Curve, Curve, Curve]]] = {scorer: [] for scorer in SCORERS}
    for seed in seeds:
        hours = size.hours(seed) / (2 * SEASONS)
        log = size.log(seed, Almanac(SEASONS, hours))
        starts = places(log, [number * hours for number in range(2 * SEASONS)])
        for scorer, curve in curves_of(log, settings, seed, variant).items():
            for season in range(1, SEASONS):
                start, end, again = starts[season], starts[season + 1], starts[season + SEASONS]
                first, last = curve[start : start + FIRST_EVENTS], curve[end - (end - start) // 5 : end]
                parts[scorer].append((first, last, curve[again : again + FIRST_EVENTS]))
    rows: dict[str, Row] = {}
    for scorer, each in parts.items():
        at_first, at_end, come_back = (mean(part) for part in zip(*each, strict=True))
        rows[scorer] = {
            "first 500": at_first,
            "end of the season": at_end,
            "first 500, come back": come_back,
            "back / first": come_back / at_first,
            "back / end": come_back / at_end,
        }
    return rows


def curves_of(
    log: Sequence[Interaction], settings: Settings, seed: int, variant: Variant
) -> dict[str, Curve]:
    """Return scorer -> its curve over a log."""
    evaluation = evaluate_log(log, msgspec.structs.replace(settings, seed=seed), variant)
    return {
        scorer: np.where(evaluation.ranks[scorer] < 0, np.nan, evaluation.gains(scorer)) for scorer in SCORERS
    }


def mean(curves: Iterable[Curve]) -> float:
    """Return the mean of all scored events of some curves."""
    return float(np.nanmean(np.concatenate(list(curves))))


def places(log: Sequence[Interaction], hours: Iterable[float]) -> list[int]:
    """Return the number of the first event at or after each hour from the opening on."""
    times = [interaction.timestamp_ms for interaction in log]
    return [bisect_left(times, OPENING_MS + round(hour * HOUR_MS)) for hour in hours]


if __name__ == "__main__":
    main()
