"""Where a stream becomes long enough for the interest model: counters alone, interest alone, both.

python -m benchmarks.learning_curves LOG [--items F] [--relations F] [--variant all] [--candidates catalog]
    [--limit N] [--seed 0] [--plot FILE.png]

Two evaluations of one log, test-then-learn, one after the other: without an interest model ("counters", which
are all of the rest, what items say included), and with it ("both"); "interest" is its logit alone among what
the ranker of the second run kept. NDCG@10 by tenth of the log. "gain" is the mean difference, event by event,
of both and counters, with twice its standard error: a tenth in which the gain is larger than that pays.
"""

import argparse
import itertools
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.evaluation import Evaluation, Listing, evaluate_log, listing_of
from streams.evaluation.outcome import UNSCORED
from streams.logs import read_items, read_log, read_relations
from streams.scoreboard import INTEREST, SCORER
from streams.settings import load_settings

TENTHS = 10
WINDOW_SHARE = 0.03


class Curves(NamedTuple):
    """What each scored event of a log adds to NDCG@10, float64[n], and its number in the log, int64[n]."""

    numbers: NDArray[np.int64]
    counters: NDArray[np.float64]
    interest: NDArray[np.float64]
    both: NDArray[np.float64]
    best_rule: NDArray[np.float64]  # the best simple rule over the whole log


def main() -> None:
    """Print the table as Markdown, and draw the picture if one is wanted."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("log", type=Path)
    parser.add_argument("--items", type=Path)
    parser.add_argument("--relations", type=Path)
    parser.add_argument("--variant", choices=("all", "new"), default="all")
    parser.add_argument("--candidates", choices=("seen", "catalog"), default="seen")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    without, with_it = (evaluated(arguments, interest) for interest in ("off", "on"))
    curves = curves_of(without, with_it)
    print_table(curves, without.events)
    if arguments.plot is not None:
        plot(curves, without.events, arguments.plot)


def evaluated(arguments: argparse.Namespace, interest: str) -> Evaluation:
    """Return the evaluation of the log with the interest model "on" or "off"."""
    settings = msgspec.structs.replace(load_settings(), seed=arguments.seed, interest=interest, effort="full")  # type: ignore[arg-type] # one of the literals
    listing = Listing()
    if arguments.items is not None:
        relations = {} if arguments.relations is None else read_relations(arguments.relations)
        listing = listing_of(read_items(arguments.items), relations, arguments.candidates == "catalog", 0)

    def tell(events: int) -> None:
        print(f"\rinterest {interest}: {events:,} events", end="", file=sys.stderr)

    found = evaluate_log(
        read_log(arguments.log, arguments.limit),
        settings,
        arguments.variant,
        on_progress=tell,
        listing=listing,
    )
    print(file=sys.stderr)
    return found


def curves_of(without: Evaluation, with_it: Evaluation) -> Curves:
    """Return what the events add up to that both evaluations scored, which are the same."""
    numbers = np.flatnonzero(without.ranks[SCORER] != UNSCORED)
    return Curves(
        numbers=numbers,
        counters=without.gains(SCORER)[numbers],
        interest=with_it.gains(INTEREST)[numbers],
        both=with_it.gains(SCORER)[numbers],
        best_rule=without.gains(without.best_baseline("full")[0])[numbers],
    )


def print_table(curves: Curves, events: int) -> None:
    """Print a row for each tenth of the log, and one for all of it."""
    print("| events | best simple rule | counters | interest alone | both | gain | both / counters |")
    print("| --- |" + " --- |" * 6)
    bounds = [tenth * events // TENTHS for tenth in range(TENTHS + 1)]
    for start, end in [*itertools.pairwise(bounds), (0, events)]:
        part = slice(*np.searchsorted(curves.numbers, [start, end]))
        rule, counters, interest, both = (
            float(each[part].mean())
            for each in (curves.best_rule, curves.counters, curves.interest, curves.both)
        )
        gains = curves.both[part] - curves.counters[part]
        error = 2 * float(gains.std()) / np.sqrt(max(len(gains), 1))
        print(
            f"| {start:,} to {end:,} | {rule:.4f} | {counters:.4f} | {interest:.4f} | {both:.4f} "
            f"| {gains.mean():+.4f} ± {error:.4f} | {both / max(counters, 1e-12):.3f} |"
        )


def plot(curves: Curves, events: int, path: Path) -> None:
    """Draw moving means of the four, and below them by how much both exceed counters up to each event."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.3))
    window = max(1, int(WINDOW_SHARE * len(curves.numbers)))
    at = np.unique(np.linspace(window, len(curves.numbers), 500).astype(np.int64))
    styles: tuple[tuple[str, NDArray[np.float64], dict[str, Any]], ...] = (
        ("both", curves.both, {"color": "black", "linewidth": 1.8}),
        ("counters and content", curves.counters, {"color": "tab:blue", "linewidth": 1.2}),
        ("interest alone, among the kept", curves.interest, {"color": "tab:red", "linewidth": 1.2}),
        ("best simple rule", curves.best_rule, {"color": "0.6", "linewidth": 1.0}),
    )
    for label, gains, style in styles:
        sums = np.concatenate([[0.0], np.cumsum(gains)])  # [n + 1]
        upper.plot(curves.numbers[at - 1], (sums[at] - sums[at - window]) / window, label=label, **style)
    ours, theirs = np.cumsum(curves.both)[at - 1], np.cumsum(curves.counters)[at - 1]
    lower.plot(curves.numbers[at - 1], 100 * (ours / theirs - 1), color="black", linewidth=1.2)
    lower.axhline(0.0, color="0.6", linewidth=0.8)
    upper.set_ylabel(f"NDCG@10, mean of {window:,} events")
    lower.set_ylabel("both / counters\nup to here, %")
    lower.set_xlabel("events")
    lower.xaxis.set_major_formatter("{x:,.0f}")
    upper.set_ylim(bottom=0)
    lower.set_xlim(0, events)
    upper.legend(frameon=False, fontsize=8)
    for axes in (upper, lower):
        axes.grid(visible=True, color="0.9", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
