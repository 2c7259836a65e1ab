"""The demo on a terminal: who did what, what their list became, how fresh and how good it is."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from streams.demo.cast import Shown
from streams.demo.run import DemoResult, Scene
from streams.watching import MARKS, moved

USERS_SHOWN = 4
PLACES_SHOWN = 5


class View:
    """Draws scenes; the users that it shows stay the same."""

    def __init__(self) -> None:
        self._users: list[str] = []

    def draw(self, scene: Scene) -> RenderableType:
        """Return a picture of the scene."""
        sent = scene.sender.sent
        for user_id in sorted(set(scene.reader.shown) & set(sent.last) - set(self._users)):
            if len(self._users) < USERS_SHOWN:
                self._users.append(user_id)
        lists = Table.grid(padding=(0, 3), expand=True)
        lists.add_row(*[self._list(user_id, scene) for user_id in self._users])
        progress = ProgressBar(total=scene.total_seconds, completed=scene.passed_seconds)
        return Panel(Group(_figures(scene), lists, progress), title="freshet demo", title_align="left")

    def _list(self, user_id: str, scene: Scene) -> RenderableType:
        shown, titles = scene.reader.shown[user_id], scene.sender.sent.titles
        last = scene.sender.sent.last[user_id]
        lines = Text(no_wrap=True, overflow="ellipsis")
        lines.append(f"{user_id}\n", style="bold")
        lines.append(f"{last.action} {titles.get(last.item_id, last.item_id)}\n\n", style="yellow")
        for place, item in enumerate(shown.now.items[:PLACES_SHOWN], 1):
            lines.append(f"{place} {_mark(shown, place, item.item_id)} {titles.get(item.item_id, '')}\n")
            lines.append(f"    {'; '.join(item.reasons)}\n", style="dim")
        return lines


def _mark(shown: Shown, place: int, item_id: str) -> str:
    """Return how an item moved against the list before."""
    place_before = shown.before.index(item_id) + 1 if item_id in shown.before else None
    return MARKS[moved(place_before, place)]


def _figures(scene: Scene) -> RenderableType:
    table = Table.grid(padding=(0, 3))
    freshness = scene.freshness()
    seconds = max(scene.passed_seconds, 1e-9)
    table.add_row(
        "broker", f"{scene.stage.broker.kind} {scene.stage.broker.version}, {scene.stage.metrics_url}"
    )
    table.add_row("events", f"{scene.sender.sent.events:,} ({scene.sender.sent.events / seconds:.0f}/s)")
    table.add_row("lists", f"{scene.reader.lists:,} for {len(scene.reader.shown):,} users")
    table.add_row(
        "event to list", f"p50 {1000 * freshness['p50']:.0f} ms, p99 {1000 * freshness['p99']:.0f} ms"
    )
    table.add_row(
        "hit@10", f"{scene.hit_at_10('freshet'):.3f}, popularity {scene.hit_at_10('popularity'):.3f}"
    )
    return Group(table, Text())


def summary(result: DemoResult) -> RenderableType:
    """Return what the demo has to say at its end."""
    table = Table.grid(padding=(0, 3))
    broker, freshness = result.broker, result.freshness_seconds
    table.add_row("broker", f"{broker['kind']} {broker['version']} at {broker['bootstrap_servers']}")
    table.add_row("events", f"{result.events:,} in {result.seconds:.0f} s, {result.dead_letters} refused")
    table.add_row(
        "lists", f"{result.lists:,}, for {result.users_with_list:,} of {result.users:,} users who acted"
    )
    table.add_row(
        "event to list", f"p50 {1000 * freshness['p50']:.0f} ms, p99 {1000 * freshness['p99']:.0f} ms"
    )
    table.add_row("hit@10", f"{result.hit_at_10:.3f}, popularity {result.popularity_hit_at_10:.3f}")
    return table
