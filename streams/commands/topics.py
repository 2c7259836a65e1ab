"""`freshet topics`: create the topics, or verify them."""

import click
import msgspec

from streams.commands.options import configured, json_option, print_json
from streams.errors import ConfigurationError, FreshetError
from streams.settings import Settings
from streams.topics import TopicReport, check_topics, create_topics


@click.group()
def topics() -> None:
    r"""Create the topics, or verify them.

    \b
    freshet topics create         what is missing; existing topics are left alone
    freshet topics check          exit 1 if one is missing, 2 if one would not work
    """


@topics.command("create")
@json_option
@configured
def create(settings: Settings, as_json: bool) -> None:
    r"""Create the topics that are missing; existing ones are verified and left alone.

    \b
    freshet topics create --set topics.partitions=12
    """
    _print(create_topics(settings), as_json)


@topics.command("check")
@json_option
@configured
def check(settings: Settings, as_json: bool) -> None:
    r"""Verify partitions, compaction and sizes of the topics, and change nothing.

    \b
    freshet topics check --json
    """
    reports = check_topics(settings)
    _print(reports, as_json)
    wrong = [report.advice for report in reports if report.exists and not report.ok]
    if wrong:
        raise ConfigurationError(f"{wrong[0]}{_more(wrong)}")
    missing = [report.name for report in reports if not report.exists]
    if missing:
        raise FreshetError(
            f"topic {missing[0]!r} does not exist{_more(missing)}; create with `freshet topics create`"
        )


def _more(all_of_them: list[str] | list[str | None]) -> str:
    return f" (and {len(all_of_them) - 1} more)" if len(all_of_them) > 1 else ""


def _print(reports: list[TopicReport], as_json: bool) -> None:
    if as_json:
        print_json({"topics": msgspec.to_builtins(reports)})
        return
    width = max(len(report.name) for report in reports)
    for report in reports:
        status = "missing" if not report.exists else "created" if report.created else "exists"
        click.echo(
            f"{report.name:<{width}}  {report.role:<15}  {status:<7}  {report.partitions:>4} partitions  "
            f"{report.replication_factor} replicas  {report.cleanup_policy}"
        )
        if report.exists and report.advice:
            click.echo(f"{'':<{width}}  {report.advice}")
