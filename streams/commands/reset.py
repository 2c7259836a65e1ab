"""`freshet reset`: forgets local state."""

import shutil
from pathlib import Path

import click

from streams.commands.options import configured, json_option, print_json
from streams.identity import CHECKPOINTS, IDENTITY_FILE, PARTITIONS, claim
from streams.settings import Settings


@click.command(
    short_help="Forget the local state of a data directory.",
    epilog="Example: freshet reset && freshet worker",
)
@json_option
@configured
def reset(settings: Settings, as_json: bool) -> None:
    """Forget the local state of this data directory, whose worker must not be running.

    Users are restored from Kafka by the next worker; what was learned is counted again from the examples that
    Kafka keeps, and the ranker begins anew unless a checkpoint is imported.
    """
    directory = Path(settings.data_directory)
    forgotten = []
    if (directory / IDENTITY_FILE).exists():
        with claim(directory, settings.group):
            for name in (PARTITIONS, CHECKPOINTS):
                if (directory / name).exists():
                    shutil.rmtree(directory / name)
                    forgotten.append(name)
    if as_json:
        print_json({"data_directory": str(directory), "forgotten": forgotten})
    else:
        click.echo(
            f"{directory}: {'forgot ' + ' and '.join(forgotten) if forgotten else 'nothing to forget'}"
        )
