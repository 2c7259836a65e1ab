"""`python -m tests.crash`: a soak with a seed; exit code 1 if anything is wrong."""

import argparse
import logging
import sys
from pathlib import Path

from tests.crash.faults import FAULTS
from tests.crash.oracle import InexactError
from tests.crash.soak import Plan, SoakFailedError, soak


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=180.0, help="of torment")
    parser.add_argument("--minutes", type=float, help="of torment, instead of --seconds")
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--workers", type=int, default=3, help="at most")
    parser.add_argument("--rate", type=float, default=150.0, help="records a second")
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--json", type=Path, help="write the report there, too")
    parser.add_argument("--keep", type=Path, help="directory for logs and data, which stay")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker goes away; that is the point
    plan = Plan(
        seed=given.seed,
        seconds=given.minutes * 60 if given.minutes else given.seconds,
        partitions=given.partitions,
        workers=given.workers,
        rate=given.rate,
        kinds=given.faults,
    )
    try:
        report = soak(plan, given.keep, _say)
    except (SoakFailedError, InexactError) as error:
        _say(f"the soak itself failed: {error}\nagain: {plan.command}")
        return 2
    if given.json:
        given.json.write_text(report.as_json() + "\n", encoding="utf-8")
    _say(report.as_text())
    return 0 if report.is_good else 1


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
