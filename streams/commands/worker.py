"""`freshet worker`: the stream."""

import logging
import time

import click

from streams.commands.options import configured
from streams.settings import Settings

QUIET_SECONDS = 5.0


@click.command(
    short_help="Turn interactions into recommendation lists.",
    epilog="Example: freshet worker --set data_directory=worker-1 --set metrics_port=0",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
@configured
def worker(settings: Settings, log_level: str) -> int:
    """Turn interactions into recommendation lists; any number of workers share the work.

    Runs until SIGTERM or Ctrl-C, then makes durable what is in hand and leaves.
    """
    from streams.worker import run_worker  # torch and Faust take a second that --help should not

    log_to_stderr(log_level)
    return run_worker(settings)


def log_to_stderr(level: str) -> None:
    """Log our own rooms at this level, others' warnings at most once in a while."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_OnceInAWhile())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for room in ("streams", "models", "state"):
        logging.getLogger(room).setLevel(level.upper())


class _OnceInAWhile(logging.Filter):
    """Lets each message of others through once in 5 s: while a broker is away its clients log thousands."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the message is let through."""
        if record.name.startswith(("streams", "models", "state")):
            return True
        message, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._last.get(message, -QUIET_SECONDS) < QUIET_SECONDS:
            return False
        self._last[message] = now
        return True
