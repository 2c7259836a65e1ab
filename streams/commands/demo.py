"""`freshet demo`: everything at once, for a minute."""

import contextlib
from collections.abc import Iterator

import click
from rich.console import Console
from rich.live import Live

from streams.commands.options import configured, json_option, print_json
from streams.settings import Settings


@click.command(
    short_help="A shop, a worker and a reader of lists, for a minute.",
    epilog="Example: freshet demo --seconds 20 --rate 500 --json",
)
@click.option("--seconds", type=click.FloatRange(min=1), default=60, show_default=True, help="How long.")
@click.option("--rate", type=click.FloatRange(min=1), default=200, show_default=True, help="Events a second.")
@click.option("--users", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--items", type=click.IntRange(min=1), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True)
@click.option(
    "--keep", is_flag=True, help="Keep its directory: the broker's data, the worker's state, the logs."
)
@json_option
@configured
def demo(settings: Settings, as_json: bool, **chosen: float) -> None:
    """Watch a simulated shop's clicks and purchases become recommendation lists.

    Starts a broker if none is configured, a worker and a shop; ends by itself and cleans up after itself.
    """
    from streams.demo import DemoOptions, run_demo
    from streams.demo.view import View, summary

    console, view = Console(), View()
    options = DemoOptions(**chosen)  # type: ignore[arg-type]  # click has checked each
    with _screen(console, as_json) as live:
        result = run_demo(
            settings,
            options,
            say=lambda text: live.update(text, refresh=True) if live else None,
            look=lambda scene: live.update(view.draw(scene), refresh=True) if live else None,
        )
    if as_json:
        print_json(result.as_json())
    else:
        console.print(summary(result))


@contextlib.contextmanager
def _screen(console: Console, as_json: bool) -> Iterator[Live | None]:
    """Give a live picture on a terminal, nothing in a pipe."""
    if as_json or not console.is_terminal:
        yield None
    else:
        with Live(console=console, auto_refresh=False) as live:
            yield live
