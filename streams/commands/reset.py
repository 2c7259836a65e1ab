"""`freshet reset`: forgets local state, or lets a group go on with sources that were made anew."""

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
@click.option(
    "--sources",
    is_flag=True,
    help="Forget nothing; go on with sources that were deleted and made anew. All workers must be stopped.",
)
@json_option
@configured
def reset(settings: Settings, sources: bool, as_json: bool) -> None:
    """Forget the local state of this data directory, whose worker must not be running.

    Users are restored from Kafka by the next worker; what was learned is counted again from the examples that
    Kafka keeps, and the ranker begins anew unless a checkpoint is imported.

    With --sources nothing is forgotten: users and what was learned are kept, and a source topic that was
    deleted and made anew is read from its beginning. What it repeats of the old one is applied again.
    """
    if sources:
        _renew(settings, as_json)
    else:
        _forget(settings, as_json)


def _forget(settings: Settings, as_json: bool) -> None:
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


def _renew(settings: Settings, as_json: bool) -> None:
    from streams.renewal import renew_sources  # aiokafka and RocksDB take a second that --help should not

    directory = Path(settings.data_directory)
    with claim(directory, settings.group):
        renewed = renew_sources(settings, directory)
    if as_json:
        print_json({"data_directory": str(directory), "forgotten": [], "renewed": renewed})
    elif not renewed:
        click.echo("every source is the one that was applied: nothing to renew")
    for topic, starts in renewed.items() if not as_json else ():
        places = ", ".join(f"partition {number} at {start}" for number, start in starts.items())
        click.echo(f"{topic} goes on with {places}")
