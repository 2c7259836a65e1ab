"""Learning curves as a picture: the model and every baseline over the stream."""

import importlib.util
from pathlib import Path

from models.prequential import BASELINES
from streams.errors import ConfigurationError, FreshetError
from streams.evaluation.outcome import Evaluation
from streams.scoreboard import INTEREST, SCORER

WINDOW_SHARE = 0.02
_INCHES = (8.0, 4.5)
_DOTS_PER_INCH = 150
# Told apart on paper, too: by the dashes first, by colours (Okabe and Ito's, safe for most eyes) second.
_STYLES = (
    ("#0072B2", (0, (1, 1))),
    ("#D55E00", (0, (5, 1))),
    ("#009E73", (0, (5, 1, 1, 1))),
    ("#CC79A7", (0, (3, 2))),
    ("#E69F00", (0, (7, 2, 1, 2, 1, 2))),
    ("#56B4E9", (0, (2, 3))),
)


def check_plot(path: Path) -> None:
    """Raise ConfigurationError, before anything is computed, if no picture could be written there."""
    if path.suffix.lower() != ".png":
        raise ConfigurationError(f"--plot {path}: a picture is a PNG; name a file that ends with .png")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"--plot {path}: there is no folder {path.absolute().parent}; make it first")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigurationError("--plot needs matplotlib, which is missing: pip install 'freshet[plot]'")


def plot_curves(evaluation: Evaluation, path: Path, title: str) -> None:
    """Draw NDCG@10 over the stream, a moving mean over 2 % of its events, for the model and all baselines.

    Raises FreshetError if the file cannot be written.
    """
    from matplotlib.figure import Figure

    window = max(1, int(WINDOW_SHARE * evaluation.events))
    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.add_subplot()
    for name, (colour, dashes) in zip(BASELINES, _STYLES, strict=False):
        ends, means = evaluation.curve(name, window)
        axes.plot(ends, means, color=colour, linestyle=dashes, linewidth=1.1, label=name.replace("_", " "))
    if evaluation.has_interest:
        ends, means = evaluation.curve(INTEREST, window)
        axes.plot(ends, means, color="black", linewidth=1.1, label="interest alone, among the kept")
    ends, means = evaluation.curve(SCORER, window)
    axes.plot(ends, means, color="black", linewidth=2.0, label=SCORER)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("events")
    axes.set_ylabel(f"NDCG@10, mean of the last {window:,} events")
    axes.set_xlim(0, evaluation.events)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right upper", frameon=False, fontsize=8)
    try:
        figure.savefig(path, dpi=_DOTS_PER_INCH)
    except OSError as error:
        raise FreshetError(f"cannot write {path}: {error.strerror}; name another file") from None
