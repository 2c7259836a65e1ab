"""What every command takes: the configuration, and how to print the result."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from streams.settings import Settings, load_settings

R = TypeVar("R")

ABOUT_RELATIONS = "CSV head,relation,tail: what items are related to; an item is written item:ID."


def configured(command: Callable[..., R]) -> Callable[..., R]:
    """Add --config, --set and --debug to a command, and hand it the Settings as its first argument."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The settings' file; freshet.toml in the working directory if there.",
    )
    @click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="NAME=VALUE",
        help="One setting, above file and environment: --set group=shop.",
    )
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(command)
    def wrapped(
        *arguments: object, config: Path | None, overrides: tuple[str, ...], debug: bool, **options: object
    ) -> R:
        settings: Settings = load_settings(config, overrides=overrides)
        return command(settings, *arguments, **options)

    return wrapped


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")


def print_json(result: object) -> None:
    """Print the result as the last line of stdout: one JSON object and nothing else."""
    click.echo(json.dumps(result, ensure_ascii=False))
