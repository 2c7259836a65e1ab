"""`freshet inspect`: asks the running worker of this data directory."""

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from streams.commands.options import configured, json_option, print_json
from streams.errors import FreshetError
from streams.identity import read_address
from streams.settings import Settings

TIMEOUT_SECONDS = 30


@click.group()
def inspect() -> None:
    """Ask the running worker of this data directory what it knows."""


@inspect.command(epilog="Example: freshet inspect user u17 --json")
@click.argument("user_id")
@json_option
@configured
def user(settings: Settings, user_id: str, as_json: bool) -> None:
    """Show a user's sequence, oldest first, and positions; exit 1 if this worker does not own the user."""
    found = _ask(settings, f"/inspect/user/{quote(user_id, safe='')}")
    if as_json:
        print_json(found)
        return
    table = Table("when (UTC)", "action", "item", title=f"{found['user_id']}, partition {found['partition']}")
    for event in found["sequence"]:
        when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        table.add_row(f"{when:%Y-%m-%d %H:%M:%S}", event["action"], str(event["item_id"]))
    console = Console()
    console.print(table)
    for topic, (partition, offset) in found["positions"].items():
        console.print(f"{topic}: partition {partition}, applied to offset {offset}")


@inspect.command(epilog="Example: freshet inspect worker --json")
@json_option
@configured
def worker(settings: Settings, as_json: bool) -> None:
    """Show the worker's partitions, lag, model, memory and digests."""
    found = _ask(settings, "/inspect/worker")
    if as_json:
        print_json(found)
        return
    console = Console()
    console.print(
        f"worker {found['worker_id']} of group {found['group']}: {found['ready']}; "
        f"model {found['model_version']}, {found['items']} items, {found['memory_bytes'] / 2**20:.0f} MiB"
    )
    table = Table("partition", "state", "applied to", "lag")
    for lane in found["partitions"]:
        table.add_row(str(lane["partition"]), lane["state"], _offsets(lane["next"]), _offsets(lane["lag"]))
    console.print(table)
    if found["texts"] and found["texts"]["failure"]:
        console.print(f"{found['texts']['waiting']} texts wait: {found['texts']['failure']}", markup=False)


def _offsets(by_topic: dict[str, int]) -> str:
    return ", ".join(f"{topic} {offset}" for topic, offset in by_topic.items())


def _ask(settings: Settings, path: str) -> dict[str, Any]:
    address = read_address(Path(settings.data_directory))
    advice = f"no worker is running in {settings.data_directory}; start one with `freshet worker`"
    if address is None:
        raise FreshetError(advice)
    url = f"http://{address.host}:{address.port}{path}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise FreshetError(error.read().decode(errors="replace")) from None
    except OSError as error:
        raise FreshetError(
            f"the worker at {address.host}:{address.port} does not answer ({error}); {advice}"
        ) from None
