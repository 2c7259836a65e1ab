"""Test-then-learn over a log, through the very step that a worker runs; the store is in memory.

rank = 1 + the number of other allowed candidates whose score is at least that of what happened. An event
whose item is no candidate has no rank: it counts 0 in every metric, but it counts.
"""

from streams.evaluation.catalogue import Listing, listing_of
from streams.evaluation.outcome import SLICES, VALLEY, Cost, Evaluation, Variant
from streams.evaluation.plotting import check_plot, plot_curves
from streams.evaluation.running import CHUNK, evaluate_log
from streams.evaluation.team import Sharing

__all__ = [
    "CHUNK",
    "SLICES",
    "VALLEY",
    "Cost",
    "Evaluation",
    "Listing",
    "Sharing",
    "Variant",
    "check_plot",
    "evaluate_log",
    "listing_of",
    "plot_curves",
]
