"""`freshet checkpoint`: moves what was learned."""

from pathlib import Path

import click

from models.checkpoint import (
    CheckpointFolder,
    CorruptCheckpointError,
    Facts,
    NewerCheckpointError,
    decode_checkpoint,
)
from streams.commands.options import configured, json_option, print_json
from streams.errors import ConfigurationError, FreshetError
from streams.identity import CHECKPOINTS, claim
from streams.settings import Settings


@click.group()
def checkpoint() -> None:
    """Move what a worker has learned to another one."""


@checkpoint.command(epilog="Example: freshet checkpoint export learned.checkpoint")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@configured
def export(settings: Settings, file: Path, as_json: bool) -> None:
    """Write the newest checkpoint of this data directory to FILE; its worker may be running."""
    folder = CheckpointFolder(Path(settings.data_directory) / CHECKPOINTS)
    try:
        found = folder.newest()
    except NewerCheckpointError as error:
        raise FreshetError(str(error)) from None
    if found is None:
        raise FreshetError(
            f"there is no checkpoint in {settings.data_directory} yet; a running worker writes one every "
            f"{settings.checkpoint_seconds} s"
        )
    stored, _, facts = found
    data = stored.read_bytes()
    try:
        file.write_bytes(data)
    except OSError as error:
        raise FreshetError(f"cannot write {file}: {error.strerror}") from None
    _report(file, len(data), facts, as_json)


@checkpoint.command("import", epilog="Example: freshet checkpoint import learned.checkpoint")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@configured
def import_(settings: Settings, file: Path, as_json: bool) -> None:
    """Let the worker of this data directory, which must not be running, go on from FILE."""
    data = file.read_bytes()
    try:
        _, facts = decode_checkpoint(data)
    except (CorruptCheckpointError, NewerCheckpointError) as error:
        raise ConfigurationError(f"{file} cannot be imported: {error}") from None
    if facts.get("group") != settings.group:
        raise ConfigurationError(
            f"{file} is of group {facts.get('group')!r}, this is {settings.group!r}; "
            "its marks mean other records"
        )
    with claim(Path(settings.data_directory), settings.group):
        CheckpointFolder(Path(settings.data_directory) / CHECKPOINTS).write(data)
    _report(file, len(data), facts, as_json)


def _report(file: Path, size_bytes: int, facts: Facts, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "file": str(file),
                "bytes": size_bytes,
                "model_version": facts["model_version"],
                "events": facts["events"],
            }
        )
    else:
        click.echo(
            f"{file}: {size_bytes:,} bytes, model {facts['model_version']}, {facts['events']:,} events"
        )
