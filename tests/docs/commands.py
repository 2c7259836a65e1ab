"""Whether a `freshet` command that somebody reads somewhere can be called like that."""

from collections.abc import Sequence

import click

from streams.cli import cli


def check_call(words: Sequence[str]) -> None:
    """Parse what follows `freshet`, without running it; raises click.ClickException if it is refused."""
    command: click.Command = cli
    rest = list(words)
    with click.Context(cli, info_name="freshet") as context:
        while isinstance(command, click.Group):
            _, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
    command.make_context(command.name, rest)
