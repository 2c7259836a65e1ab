"""`freshet evaluate`: how good the lists would have been, on a log."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from models.prequential import BASELINES
from streams.commands.options import ABOUT_RELATIONS, configured, json_option, print_json
from streams.commands.progress import stages
from streams.errors import ConfigurationError
from streams.evaluation import (
    SLICES,
    VALLEY,
    Listing,
    Sharing,
    Variant,
    check_plot,
    evaluate_log,
    listing_of,
    plot_curves,
)
from streams.events import ACTIONS, Interaction, ItemListed
from streams.logs import read_items, read_log, read_relations
from streams.settings import Settings

File = click.Path(path_type=Path, dir_okay=False)
_TITLES = {"full": "whole log", "last15": "last 15 %", "last10": "last 10 %"}


@click.command(
    short_help="Measure on a log how good the lists are.",
    epilog="Example: freshet evaluate events.csv.gz --variant new --plot curves.png",
)
@click.argument("log", type=File)
@click.option("--items", type=File, help="JSON lines of items: what they say is known from the start.")
@click.option("--relations", type=File, help=ABOUT_RELATIONS)
@click.option(
    "--variant",
    type=click.Choice(["all", "new"]),
    default="all",
    show_default=True,
    help="new: what a user had before is neither recommended nor scored.",
)
@click.option(
    "--effort",
    type=click.Choice(["full", "half", "low"]),
    help="In place of the setting `effort`, whose `auto` is full here.",
)
@click.option("--batch-ties", is_flag=True, help="Score all events of an instant before any is learned.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="So many share the users, in one process, and follow each other's examples.",
)
@click.option(
    "--late",
    "late_events",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Events of the log by which --workers hear of each other late.",
)
@click.option("--plot", type=File, help="Draw NDCG@10 over the log beside the simple rules: FILE.png")
@click.option(
    "--candidates",
    type=click.Choice(["seen", "catalog"]),
    default="seen",
    show_default=True,
    help="catalog: every item of --items can be recommended, from the first event on.",
)
@click.option(
    "--twins",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="List so many items beside each that say the same and never occur. Needs --candidates catalog.",
)
@click.option("--limit", type=click.IntRange(1), help="Only so many interactions, from the beginning.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="In place of the setting `seed`.")
@json_option
@configured
def evaluate(
    settings: Settings,
    log: Path,
    items: Path | None,
    relations: Path | None,
    variant: Variant,
    effort: str | None,
    batch_ties: bool,
    workers: int,
    late_events: int,
    plot: Path | None,
    limit: int | None,
    seed: int | None,
    candidates: str,
    twins: int,
    as_json: bool,
) -> None:
    """Take a LOG through the worker's own code: each event is predicted, scored, and only then learned.

    Beside the model stand simple rules that are hard to beat, tested on the same events.
    """
    flags = {"seed": seed, "effort": effort, "batch_ties": batch_ties or None}
    settings = msgspec.structs.replace(settings, **{n: v for n, v in flags.items() if v is not None})
    if plot is not None:
        check_plot(plot)
    is_open = candidates == "catalog"
    _check(settings, is_listed=items is not None or relations is not None, is_open=is_open, twins=twins)
    listing, known = _listed(items, relations, is_open, twins)
    coverage = _Coverage(read_log(log, limit), known)
    with stages() as tell:
        tell("evaluating", 0, limit)
        evaluation = evaluate_log(
            coverage,
            settings,
            variant,
            on_progress=lambda done: tell("evaluating", done, limit),
            on_encoded=lambda done, total: tell("encoding texts", done, total),
            sharing=Sharing(workers, late_events),
            listing=listing,
        )
    if not evaluation.events:
        raise ConfigurationError(f"{log} has a header but no interactions; name a log that has some")
    conditions = {"candidates": candidates, "twins": twins}
    report = {"log": str(log), **evaluation.report(), **conditions, **coverage.shares()}
    if plot is not None:
        plot_curves(evaluation, plot, f"{log}, variant {variant}")
        report["plot"] = str(plot)
    if as_json:
        print_json(report)
    else:
        _print(report)


def _check(settings: Settings, *, is_listed: bool, is_open: bool, twins: int) -> None:
    """Refuse what would change nothing, or nothing that a worker does; raises ConfigurationError."""
    if not (is_open or twins):
        return
    if not is_listed:
        raise ConfigurationError(
            "--candidates catalog and --twins are about items that are listed: name them by --items FILE"
        )
    if not settings.content:
        raise ConfigurationError(
            "--candidates catalog and --twins need what items say; take away content = false"
        )
    if not is_open:
        raise ConfigurationError(
            "--twins are items that could be recommended and never occur; add --candidates catalog"
        )


def _listed(
    items: Path | None, relations: Path | None, is_open: bool, twins: int
) -> tuple[Listing, dict[str, set[str]]]:
    """Return what is listed, and by the name of their share in the report the items that this is about."""
    triples = read_relations(relations) if relations is not None else {}
    listed = [ItemListed(item_id) for item_id in triples] if items is None else read_items(items)
    listing = listing_of(listed, triples, is_open, twins)
    item_ids = {item.item_id for item in listing.items}
    known = {} if items is None else {"listed_share": item_ids}
    if relations is not None:
        known["related_share"] = {item.item_id for item in listing.items if item.relations}
        if unlisted := len(triples.keys() - item_ids):
            said = f"{unlisted} items have relations but are not in {items}"
            click.echo(f"freshet: {relations}: {said}", err=True)
    return listing, known


class _Coverage:
    """Passes interactions on, and counts those whose item something is known of."""

    def __init__(self, interactions: Iterable[Interaction], known: dict[str, set[str]]) -> None:
        self._interactions = interactions
        self._known = known
        self._events = 0
        self._hits = dict.fromkeys(known, 0)

    def __iter__(self) -> Iterator[Interaction]:
        for interaction in self._interactions:
            self._events += 1
            for name, item_ids in self._known.items():
                self._hits[name] += interaction.item_id in item_ids
            yield interaction

    def shares(self) -> dict[str, float]:
        """Return the share of all events by name of what is known."""
        return {name: hits / max(1, self._events) for name, hits in self._hits.items()}


def _print(report: dict[str, Any]) -> None:
    console = Console()
    for part in SLICES:
        console.print(_table(report, part))
    say = partial(console.print, soft_wrap=True)  # a pipe's 80 columns would cut a quantity from its unit
    say(
        f"{report['events']} events, {report['scored']} scored, {report['seen_share']:.1%} of these on items "
        f"seen before. {report['events_per_second']:.0f} events/s, {report['cpu_seconds']:.0f} s of CPU, "
        f"{report['peak_rss_bytes'] / 2**20:.0f} MiB, {report['device']}"
    )
    for line in _about_targets(report):
        say(line)
    if report["workers"] > 1:
        say(
            f"{report['workers']} workers, {report['workers_late_events']} events late: "
            f"their counters are {'equal' if report['counters_equal'] else 'NOT equal'}"
        )
    for valley in report["valleys"]:
        say(
            f"tenth {valley['tenth']} of the log: ndcg@10 {valley['ndcg@10']:.4f} is {valley['ratio']:.2f} "
            f"of {valley['best'].replace('_', ' ')}"
        )
    if not report["valleys"]:
        say(f"no tenth of the log is below {VALLEY} of the best simple rule there")
    for name, of_what in (("listed_share", "is listed"), ("related_share", "has relations")):
        if name in report:
            say(f"of {report[name]:.1%} of the events the item {of_what}")
    if "plot" in report:
        say(f"curves: {report['plot']}")


def _about_targets(report: dict[str, Any]) -> Iterator[str]:
    """Yield what is to be said of the events that were predicted."""
    if len(report["by_action"]) > 1:
        each = (f"{action} {told['ndcg@10']['full']:.4f}" for action, told in report["by_action"].items())
        yield f"ndcg@10 by action, whole log: {', '.join(each)}"
    if report["candidates"] == "catalog":
        each = (f"{name} {told['ndcg@10']['full']:.4f}" for name, told in report["by_novelty"].items())
        yield f"ndcg@10 of items that had occurred, and of items that had not: {', '.join(each)}"
    if "interest_worth" in report:
        worth = report["interest_worth"]
        yield (
            f"interest is worth {worth['nats']:.4f} nats an event to the mixer (standard error "
            f"{worth['error_nats']:.4f}, {worth['events']} events)"
            + (", which is too little: it rests" if worth["is_resting"] else "")
        )
    if len(report["targets"]) < len(ACTIONS):
        yield (
            f"predicted and scored: {', '.join(report['targets'])}; of weight 0, and only counted: "
            f"{', '.join(action for action in ACTIONS if action not in report['targets'])}"
        )


def _table(report: dict[str, Any], part: str) -> Table:
    """Return the metrics of a part of the stream, a row for each scorer."""
    table = Table(title=f"{_TITLES[part]}, variant {report['variant']}", title_justify="left")
    table.add_column("")
    rows = {"freshet": report[part]}
    if "interest_alone" in report:
        rows["interest alone"] = report["interest_alone"][part]
    rows |= {name: report["heuristics"][name][part] for name in BASELINES}
    best = {metric: max(values[metric] for values in rows.values()) for metric in report[part]}
    for metric in best:
        table.add_column(metric, justify="right")
    for name, values in rows.items():
        cells = [
            f"[bold]{value:.4f}[/]" if value == best[metric] else f"{value:.4f}"
            for metric, value in values.items()
        ]
        table.add_row(name.replace("_", " "), *cells)
    return table
