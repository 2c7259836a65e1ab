"""`freshet simulate`: a shop whose users' interests are known."""

import math
from itertools import islice
from pathlib import Path
from typing import Any

import click
import msgspec

from streams.commands.options import configured, json_option, print_json
from streams.commands.progress import progress
from streams.errors import ConfigurationError
from streams.feed import Feed, Pace
from streams.logs import LogWriter
from streams.settings import Settings
from streams.shop import MOST_SEASONS, WEEK_HOURS, Almanac, Shop

LOG_SECONDS = 60.0


@click.command(
    short_help="A shop whose users have known, drifting interests.",
    epilog="Example: freshet simulate --users 500 --rate 200 --seconds 60",
)
@click.option("--users", type=click.IntRange(1), default=500, show_default=True)
@click.option("--items", type=click.IntRange(1), default=2000, show_default=True, help="At the opening.")
@click.option(
    "--rate", type=float, default=200.0, show_default=True, help="Interactions a second, of real time."
)
@click.option(
    "--seconds",
    type=float,
    help="How long; until Ctrl-C if not given. With --out: RATE x SECONDS interactions [60].",
)
@click.option(
    "--drift",
    type=float,
    default=0.05,
    show_default=True,
    help="The probability that a user comes with one interest replaced.",
)
@click.option(
    "--seasons",
    type=click.IntRange(1, MOST_SEASONS),
    default=1,
    show_default=True,
    help="So many, with interests of their own, that come back in turn.",
)
@click.option("--season-hours", type=float, default=WEEK_HOURS, show_default=True, help="How long each is.")
@click.option(
    "--upheaval-hours",
    type=float,
    multiple=True,
    help="Hours after the opening at which all interests, and what appeals, are replaced; may be repeated.",
)
@click.option("--seed", type=click.IntRange(0), default=7, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="LOG",
    help="Write a log into this folder, as fast as it can be, instead of sending it to Kafka.",
)
@json_option
@configured
def simulate(
    settings: Settings,
    users: int,
    items: int,
    rate: float,
    seconds: float | None,
    drift: float,
    seasons: int,
    season_hours: float,
    upheaval_hours: tuple[float, ...],
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Simulate a shop: users with drifting interests, items born while it runs, and what they do.

    The same options give the same interactions. Sent to Kafka they are stamped with now, at RATE a second,
    whatever the hour in the shop; a log has the shop's own times, and the true interests beside it. `turns`
    in the result are the times at which a season or, without a number, another world began.
    """
    spans = [("rate", rate), ("seconds", seconds), ("season-hours", season_hours)]
    for name, value in spans + [("upheaval-hours", hour) for hour in upheaval_hours]:
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ConfigurationError(f"--{name} {value}: expected a number above 0")
    if not 0 <= drift <= 1:
        raise ConfigurationError(f"--drift {drift}: expected a probability from 0 to 1")
    shop = Shop(seed, users, items, drift, almanac=Almanac(seasons, season_hours, upheaval_hours))
    if out is None:
        result = _send(settings, shop, rate, None if seconds is None else round(rate * seconds))
    else:
        result = _write(out, shop, round(rate * (LOG_SECONDS if seconds is None else seconds)))
    result["turns"] = msgspec.to_builtins(shop.turns)
    if as_json:
        print_json(result)
    else:
        where = f"in {out}" if out else f"sent to Kafka at {settings.bootstrap_servers}"
        click.echo(
            f"{result['events']} interactions of {result['users']} users, {result['items']} items: {where}"
        )


def _write(folder: Path, shop: Shop, count: int) -> dict[str, Any]:
    """Write a log of so many interactions, the items that were listed by then, and the true interests."""
    seen: set[str] = set()
    with LogWriter(folder) as log, progress("writing", count) as done:
        for number, interaction in enumerate(islice(shop, count), 1):
            log.interaction(interaction)
            seen.add(interaction.user_id)
            for changed in shop.new_interests():
                log.interest(changed)
            done(number)
        for item in shop.catalog():
            log.item(item)
    return {"events": count, "users": len(seen), "items": shop.items, "log": str(folder)}


def _send(settings: Settings, shop: Shop, rate: float, count: int | None) -> dict[str, Any]:
    """Send so many interactions, or until Ctrl-C, at `rate` a second, and each item before it occurs."""
    seen: set[str] = set()
    events = 0
    with Feed(settings) as feed, progress("sending", count) as done:
        for item in shop.new_listings():
            feed.item(item)
        feed.flush()
        pace = Pace()
        try:
            for interaction in islice(shop, count):
                pace.wait_until(events / rate)
                for item in shop.new_listings():
                    feed.item(item)
                feed.interaction_now(interaction)
                seen.add(interaction.user_id)
                events += 1
                done(events)
        except KeyboardInterrupt:
            if count is not None:
                raise
        seconds = pace.elapsed_seconds
    return {
        "events": events,
        "users": len(seen),
        "items": shop.items,
        "sent": dict(feed.sent),
        "seconds": round(seconds, 3),
    }
