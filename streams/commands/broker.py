"""`freshet broker`: a development broker on 127.0.0.1."""

import dataclasses
import shlex
from pathlib import Path

import click

from streams.broker import (
    Broker,
    KafkaJars,
    Kind,
    detached_status,
    find_startable,
    kafka_version,
    start_detached,
    stop_detached,
)
from streams.commands.options import configured, json_option, print_json
from streams.errors import FreshetError
from streams.settings import Settings

DEFAULT_DIRECTORY = Path("freshet-broker")
_ANSWER_SECONDS = 5.0

directory_option = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_DIRECTORY,
    show_default=True,
    help="Where its data, its log and what runs are kept.",
)


@click.group()
def broker() -> None:
    r"""Run a real Apache Kafka on 127.0.0.1, for development.

    \b
    freshet broker start          a broker at 127.0.0.1:9092
    freshet broker stop           its data stay in freshet-broker
    """


@broker.command()
@click.option("--port", type=click.IntRange(1, 65535), default=9092, show_default=True)
@directory_option
@click.option("--kind", type=click.Choice(["auto", "kafka", "docker"]), default="auto", show_default=True)
@json_option
@configured
def start(settings: Settings, port: int, directory: Path, kind: Kind, as_json: bool) -> None:
    r"""Start a broker in the background and return when it answers.

    \b
    freshet broker start --port 9093 --directory /tmp/kafka
    """
    started, ran_already = start_detached(directory, port, kind, _say)
    if as_json:
        print_json(dataclasses.asdict(started))
        return
    click.echo(f"{'already runs: ' if ran_already else ''}{_describe(started)}")
    if not settings.broker_is_configured and port != 9092:
        click.echo(f"point Freshet at it: export FRESHET_BOOTSTRAP_SERVERS={started.bootstrap_servers}")
    at = "" if directory == DEFAULT_DIRECTORY else f" --directory {shlex.quote(str(directory))}"
    click.echo(f"stop it: freshet broker stop{at}")


@broker.command()
@directory_option
@json_option
@configured
def stop(_: Settings, directory: Path, as_json: bool) -> None:
    r"""Stop the broker of a directory and wait for its end; its data stay.

    \b
    freshet broker stop --directory /tmp/kafka
    """
    stopped = stop_detached(directory)
    if as_json:
        print_json({"stopped": stopped is not None, **(dataclasses.asdict(stopped) if stopped else {})})
    else:
        click.echo(f"stopped: {_describe(stopped)}" if stopped else f"no broker runs in {directory}")


@broker.command()
@directory_option
@json_option
@configured
def status(_: Settings, directory: Path, as_json: bool) -> None:
    r"""Say what runs in a directory; exit code 1 if nothing does.

    \b
    freshet broker status --json
    """
    running = detached_status(directory)
    if running is None:
        raise FreshetError(f"no broker runs in {directory}; start one: freshet broker start")
    if kafka_version(running.bootstrap_servers, _ANSWER_SECONDS) is None:
        raise FreshetError(
            f"the broker in {directory} (pid {running.pid}) runs but does not answer at "
            f"{running.bootstrap_servers}; wait, or see {directory}/broker.log"
        )
    if as_json:
        print_json(dataclasses.asdict(running))
    else:
        click.echo(_describe(running))


@broker.command()
@configured
def fetch(settings: Settings) -> None:
    r"""Fetch what a broker needs, once; quiet when there is nothing to do.

    \b
    freshet broker fetch
    """
    if settings.broker_is_configured:
        return
    found = find_startable("auto", _say)
    if not isinstance(found, KafkaJars):
        _say(f"no jars fetched, the broker will be a container: {found.why}")


def _say(line: str) -> None:
    click.echo(f"freshet: {line}", err=True)


def _describe(running: Broker) -> str:
    process = f"pid {running.pid}; " if running.pid else ""
    return f"Apache Kafka {running.version} at {running.bootstrap_servers} ({process}{running.why})"
