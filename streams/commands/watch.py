"""`freshet watch`: lists as they arrive."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from streams.commands.options import configured, print_json
from streams.settings import Settings
from streams.watching import MARKS, Arrival, ListReader, NoList


@click.command(
    short_help="Show lists as they arrive, and what moved.", epilog="Example: freshet watch u17 u4 --limit 10"
)
@click.argument("user", nargs=-1)
@click.option("--limit", type=click.IntRange(1), help="End after so many lists.")
@click.option("--json", "as_json", is_flag=True, help="Print each list as one line of JSON.")
@configured
def watch(settings: Settings, user: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """Show the lists of every USER named, or of everybody, as they arrive.

    Each item with how it moved against the user's list before: + new, ↑ up, ↓ down with its place before,
    = where it was; nothing where no earlier list is near the end of the topic. Then what is gone, and how old
    list and newest event are by the clock of this machine. A user who was erased is said to be, and counts as
    a list. Runs until Ctrl-C or --limit, exit 0; a reader of the pipe that goes away ends it as well.
    """
    console, count = Console(highlight=False, soft_wrap=True), 0
    with _ends_quietly(), ListReader(settings, user) as reader:
        if console.is_terminal and not as_json:
            whose = f"{len(user)} users" if len(user) > 1 else repr(user[0]) if user else "everybody"
            click.echo(
                f"watching {settings.topics.recommendations} for lists of {whose}; Ctrl-C ends", err=True
            )
        for arrived in reader.arrivals():
            if isinstance(arrived, NoList):
                _pass_over(settings, arrived)
                continue
            now_ms = time.time_ns() // 1_000_000
            if as_json:
                print_json(_as_json(arrived, now_ms))
            else:
                console.print(_drawn(arrived, now_ms))
            count += 1
            if count == limit:
                break


@contextlib.contextmanager
def _ends_quietly() -> Iterator[None]:
    """Take Ctrl-C, and a pipe that nobody reads any more, for the lawful ends that they are."""
    try:
        yield
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # What is left in the buffer would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _pass_over(settings: Settings, record: NoList) -> None:
    where = f"{settings.topics.recommendations}, partition {record.partition}, offset {record.offset}"
    click.echo(f"freshet: {where} is not a list: {_visible(record.detail)}", err=True)


def _as_json(arrived: Arrival, now_ms: int) -> dict[str, Any]:
    """Return a list as JSON: what was published, and what moved; of an erased user nothing but that."""
    head = {"user_id": arrived.user_id, "partition": arrived.partition, "offset": arrived.offset}
    found = arrived.recommendations
    if found is None:
        return {**head, "erased": True, "items": [], "gone": list(arrived.gone)}
    return {
        **head,
        "erased": False,
        "republished": found.republished,
        "made_at": found.made_at,
        "event_time": found.event_time,
        "made_seconds_ago": (now_ms - found.made_at) / 1000,
        "event_seconds_ago": (now_ms - found.event_time) / 1000,
        "model_version": found.model_version,
        "positions": found.positions,
        "items": [
            {
                "item_id": item.item_id,
                "title": item.title,
                "score": item.score,
                "reasons": item.reasons,
                "moved": arrived.moved(place, item.item_id),
                "place_before": arrived.place_before(item.item_id),
            }
            for place, item in enumerate(found.items, 1)
        ],
        "gone": list(arrived.gone),
    }


def _drawn(arrived: Arrival, now_ms: int) -> Text:
    """Return a list for a person: a line about it, a line an item, a line of what is gone."""
    text, found = Text(), arrived.recommendations
    text.append(_visible(arrived.user_id), style="bold")
    if found is None:
        text.append("  erased: the user has no list any more\n", style="red")
    else:
        text.append(f"  made {_ago(now_ms - found.made_at)}, newest event {_ago(now_ms - found.event_time)}")
        text.append(", republished" if found.republished else "", style="yellow")
        text.append("\n" if found.items else "\n     nothing to recommend\n")
    for place, item in enumerate(found.items if found else (), 1):
        text.append(f"{place:>4} {_mark(arrived, place, item.item_id):<4} ", style="green")
        text.append(_visible(item.title or item.item_id))
        text.append(f"  {_visible('; '.join(item.reasons))}\n", style="dim")
    if arrived.gone:
        text.append(f"     gone: {_visible(', '.join(arrived.gone.values()))}\n", style="dim")
    return text


def _mark(arrived: Arrival, place: int, item_id: str) -> str:
    """Return how an item moved: its mark, with the place before if that was another."""
    how = arrived.moved(place, item_id)
    if how in ("up", "down"):
        return f"{MARKS[how]}{arrived.place_before(item_id)}"
    return MARKS[how] if how else ""


def _ago(milliseconds: int) -> str:
    """Say a duration in words; a negative one by what it is, a clock that differs."""
    if milliseconds < 0:
        return f"{_length(-milliseconds)} ahead of this clock"
    return f"{_length(milliseconds)} ago"


def _length(milliseconds: int) -> str:
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s"


def _visible(text: str) -> str:
    """Replace what could move the cursor or ring: titles and ids are other people's words."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
