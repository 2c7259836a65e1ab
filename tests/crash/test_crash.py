"""Nothing is lost, doubled or stuck while workers, disks and the broker fail at random for three minutes.

The whole of it runs in a process of its own, as `make soak` does: clients leave sockets open when their
broker is killed.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SEED = 5
SECONDS = 180
END_SECONDS = 480  # with the start, what the last fault takes to heal, and the reading of everything


@pytest.mark.broker
def test_three_minutes_of_faults(tmp_path: Path) -> None:
    """After random faults for three minutes everything is what the oracle says, and nothing is stuck."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "tests.crash", f"--seed={SEED}", f"--seconds={SECONDS}"]
    command += ["--partitions=6", "--workers=2", "--rate=80", f"--json={report}", f"--keep={tmp_path}/soak"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=END_SECONDS, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert found["problems"] == []
    assert found["faults"] >= 5
    assert found["facts"]["counted"] > SECONDS * 20
    assert found["facts"]["dead letters"] > 0
