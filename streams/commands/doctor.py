"""`freshet doctor`: what is wrong, and what to do about it."""

import functools
from collections.abc import Callable, Iterable

import click
import msgspec

from streams.commands.options import configured, json_option, print_json
from streams.doctor import CHECKS, Check, examine, examine_without_settings
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings


def _whatever_the_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Let settings that do not load be a finding like others, instead of the end of the command."""

    @functools.wraps(command)
    def wrapped(as_json: bool, **options: object) -> None:
        try:
            command(as_json=as_json, **options)
        except ConfigurationError as error:
            _report(examine_without_settings(error), as_json)

    return wrapped


@click.command(
    short_help="Look for what is wrong, and say what to do.",
    epilog="Example: freshet doctor --config freshet.toml",
)
@_whatever_the_settings
@json_option
@configured
def doctor(settings: Settings, as_json: bool) -> None:
    """Look at settings, libraries, machine, Kafka, topics and newest records; say what to do.

    Changes nothing anywhere. Exit 1 if one check is not ok; one that could not be made is not ok either.
    """
    _report(examine(settings), as_json)


def _report(checks: Iterable[Check], as_json: bool) -> None:
    """Print each check as soon as it is made, or all as JSON; raises FreshetError if one is not ok."""
    made = []
    for check in checks:
        made.append(check)
        if not as_json:
            _print(check)
    if as_json:
        print_json({"checks": msgspec.to_builtins(made)})
    wrong = [check.name for check in made if check.checked and not check.ok]
    if wrong:
        left = sum(not check.checked for check in made)
        others = f" ({left} more could not be made)" if left else ""
        raise FreshetError(f"not ok: {', '.join(wrong)}{others}; do what is said beside them")


def _print(check: Check) -> None:
    word, color = ("ok", "green") if check.ok else ("WRONG", "red") if check.checked else ("-", "yellow")
    status = click.style(f"{word:<5}", fg=color)
    advice = f" -> {check.advice}" if check.advice else ""
    line = f"{check.found}{advice}"
    visible = "".join(letter if letter.isprintable() else "�" for letter in line)
    click.echo(f"{status} {check.name:<{max(map(len, CHECKS))}}  {visible}")
