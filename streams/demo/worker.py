"""The demo's worker: `python -m streams.demo.worker FILE`, its settings as JSON."""

import sys
from pathlib import Path

import msgspec

from streams.commands.worker import log_to_stderr
from streams.errors import FreshetError
from streams.settings import Settings
from streams.worker import run_worker


def main(file: str) -> int:
    """Run the worker until it is told to stop; return its exit code."""
    log_to_stderr("info")
    try:
        return run_worker(msgspec.json.decode(Path(file).read_bytes(), type=Settings))
    except FreshetError as error:
        sys.stderr.write(f"freshet: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
