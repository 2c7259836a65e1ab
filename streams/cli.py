"""The command line: gathers the commands, and turns errors into one line and an exit code."""

import importlib
import sys

import click

from streams.errors import FreshetError

COMMANDS = (
    "broker",
    "checkpoint",
    "demo",
    "doctor",
    "erase",
    "evaluate",
    "inspect",
    "replay",
    "reset",
    "simulate",
    "topics",
    "watch",
    "worker",
)


class _Commands(click.Group):
    """Imports a command's module when it is called, so that `freshet --help` never waits for torch."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"streams.commands.{name}"), name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="freshet", prog_name="freshet")
def cli() -> None:
    """Real-time recommendations from Kafka."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed while running, 2 wrong call or configuration."""
    arguments = sys.argv[1:] if arguments is None else arguments
    sys.exit(_exit_code(arguments))


def _exit_code(arguments: list[str]) -> int:
    try:
        result: object = cli.main(arguments, prog_name="freshet", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        return _complain(f"{error.format_message().rstrip('.')}; see --help", 2)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", 1)
    except FreshetError as error:
        if "--debug" in arguments:
            raise
        return _complain(str(error), error.exit_code)
    except Exception as error:
        if "--debug" in arguments:
            raise
        return _complain(f"{type(error).__name__}: {error}; run it again with --debug for the traceback", 1)
    return result if isinstance(result, int) else 0


def _complain(message: str, exit_code: int) -> int:
    click.echo(f"freshet: {' '.join(message.split())}", err=True)
    return exit_code


if __name__ == "__main__":
    main()
