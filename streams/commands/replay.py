"""`freshet replay`: a log into the source topics."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from streams.commands.options import ABOUT_RELATIONS, configured, json_option, print_json
from streams.commands.progress import progress
from streams.errors import ConfigurationError
from streams.events import Interaction
from streams.feed import Feed, Pace
from streams.logs import BadLine, read_items, read_log, read_relations
from streams.settings import Settings

File = click.Path(path_type=Path, dir_okay=False)


@click.command(
    short_help="Send a log to the source topics.",
    epilog="Example: freshet replay events.csv.gz --items items.jsonl.gz --rate 200",
)
@click.argument("log", type=File)
@click.option("--items", type=File, help="JSON lines of items, sent to the items topic first.")
@click.option("--relations", type=File, help=f"{ABOUT_RELATIONS} Merged into --items.")
@click.option("--rate", type=float, help="Interactions a second; as fast as possible if not given.")
@click.option("--speed", type=float, help="Times as fast as in the log: 60 makes an hour a minute.")
@click.option("--limit", type=click.IntRange(1), help="Only so many interactions, from the beginning.")
@json_option
@configured
def replay(
    settings: Settings,
    log: Path,
    items: Path | None,
    relations: Path | None,
    rate: float | None,
    speed: float | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Send a LOG (CSV user_id,item_id,timestamp,action,value or JSON lines) to the source topics.

    Each interaction is stamped with now and keyed by its user. A line that cannot be taken is named on stderr
    and counted; the others go on.
    """
    _check(rate, speed, items, relations)
    refused = _Refused()
    interactions = read_log(log, limit, refused)
    catalog = read_items(items, refused) if items else iter(())
    related = read_relations(relations, refused) if relations else {}
    with Feed(settings, items=items is not None) as feed, progress("sending", limit) as done:
        pace = Pace()
        for item in catalog:
            merged = [*item.relations, *related.pop(item.item_id, ())]
            feed.item(msgspec.structs.replace(item, relations=merged))
        feed.flush()
        for number, interaction in enumerate(_paced(interactions, rate, speed), 1):
            feed.interaction_now(interaction)
            done(number)
        feed.flush()
        seconds = pace.elapsed_seconds
    if related:
        click.echo(
            f"freshet: {relations}: {len(related)} items have relations but are not in {items}", err=True
        )
    _report({"sent": dict(feed.sent), "refused": refused.count, "seconds": round(seconds, 3)}, as_json)


class _Refused:
    """Counts the lines that cannot be taken, and names each on stderr."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, bad_line: BadLine) -> None:
        self.count += 1
        click.echo(f"freshet: {bad_line}", err=True)


def _check(rate: float | None, speed: float | None, items: Path | None, relations: Path | None) -> None:
    for name, value in (("rate", rate), ("speed", speed)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigurationError(f"--{name} {value}: expected a number above 0")
    if rate is not None and speed is not None:
        raise ConfigurationError("--rate and --speed exclude each other; give one of them")
    if relations is not None and items is None:
        raise ConfigurationError("--relations are merged into the items; name their file with --items")


def _paced(
    interactions: Iterator[Interaction], rate: float | None, speed: float | None
) -> Iterator[Interaction]:
    """Yield each interaction in its time: `rate` a second, or `speed` times as fast as in the log."""
    pace, first_ms = Pace(), None
    for number, interaction in enumerate(interactions):
        if rate is not None:
            pace.wait_until(number / rate)
        elif speed is not None:
            first_ms = interaction.timestamp_ms if first_ms is None else first_ms
            pace.wait_until((interaction.timestamp_ms - first_ms) / 1000 / speed)
        yield interaction


def _report(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    sent = ", ".join(f"{count} to {topic}" for topic, count in result["sent"].items()) or "nothing"
    click.echo(f"sent {sent}; refused {result['refused']}; {result['seconds']} s")
